//! Places inside of a text value, which is one node to YAML.

use model::{Place, Str};

use crate::snapshot::Snapshot;
use crate::value::Val;

/// Where a word of a value stands: its first occurrence from the value's line on. `None` if it is
/// not written like this, for instance with escapes.
pub fn locate(snapshot: &Snapshot, file: &Str, value: Val<'_>, word: &str) -> Option<Place> {
    let (start, _) = value.place()?;
    let text = &snapshot.files.iter().find(|f| f.name == *file)?.text;
    let lines = text.lines().zip(1u32..).skip(start.saturating_sub(1) as usize);
    let mut found = lines.filter_map(|(content, line)| Some((line, content, content.find(word)?)));
    let (line, content, at) = found.next()?;
    let column = u32::try_from(content.get(..at)?.chars().count()).ok()?.saturating_add(1);
    Some(Place { file: file.clone(), line, column })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use crate::testing::snapshot;

    #[test]
    fn words_in_blocks_have_places() {
        let snapshot =
            snapshot("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata:\n  a: |\n    x\n    ä b\n");
        let object = &snapshot.of(Kind::ConfigMap)[0];
        let value = object.root().path("data.a");
        let place = |word| locate(&snapshot, &object.file, value, word).map(|p| (p.line, p.column));
        assert_eq!(place("b"), Some((7, 7)));
        assert_eq!(place("q"), None);
    }
}
