//! "Did you mean": the nearest known name.

/// The known name with the fewest edits from `written`, if they are few for its length.
pub(crate) fn nearest<'n>(written: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // A name of outside length must not buy quadratic work.
    if written.len() > 64 {
        return None;
    }
    let lower = written.to_ascii_lowercase().replace('_', "");
    known
        .map(|name| (distance(&lower, &name.to_ascii_lowercase()), name))
        .filter(|(edits, name)| *edits <= 1 + name.len().min(lower.len()) / 4)
        .min()
        .map(|(_, name)| name)
}

/// Edits (insert, remove, replace, swap of neighbours) from one text to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        let known = ["match", "route", "timeout", "retries", "fault", "perTryTimeout"];
        let near = |text| nearest(text, known.into_iter());
        assert_eq!(near("timeot"), Some("timeout"));
        assert_eq!(near("tiemout"), Some("timeout"));
        assert_eq!(near("routes"), Some("route"));
        assert_eq!(near("PerTryTimeout"), Some("perTryTimeout"));
        assert_eq!(near("zzz"), None);
        assert_eq!(near(&"x".repeat(100)), None);
    }
}
