//! What stands in for an image: images are not pulled.

/// Commands by image, the user's before those that are known.
#[derive(Clone, Debug, Default)]
pub struct Images {
    given: Vec<(String, Vec<String>)>,
}

impl Images {
    /// From `NAME=COMMAND` pairs; commands are split at blanks, with quotes.
    ///
    /// # Errors
    /// A command is empty or its quotes do not close.
    pub fn new(pairs: &[(String, String)]) -> Result<Images, String> {
        let mut given = Vec::new();
        for (name, text) in pairs {
            let command = split(text).filter(|words| !words.is_empty());
            let command = command.ok_or_else(|| format!("--image {name}={text}: not a command line"))?;
            given.push((name.clone(), command));
        }
        Ok(Images { given })
    }

    /// The entry point that stands in for `image`.
    pub fn entry_point(&self, image: &str) -> Option<Vec<String>> {
        let name = untagged(image);
        let given = self.given.iter().filter(|(prefix, _)| is_prefix(prefix, name));
        // The longest is the most specific.
        let given = given.max_by_key(|(prefix, _)| prefix.len()).map(|(_, command)| command.clone());
        given.or_else(|| known(name))
    }
}

/// The image without tag and digest; a port of a registry is no tag.
fn untagged(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// Whether `prefix` is all of the name, or whole parts of its beginning or end.
fn is_prefix(prefix: &str, name: &str) -> bool {
    let prefix = untagged(prefix);
    name.starts_with(prefix) || name.strip_suffix(prefix).is_some_and(|rest| rest.ends_with('/'))
}

/// Bookinfo's services, and this binary itself.
fn known(name: &str) -> Option<Vec<String>> {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last == "lateen" {
        return Some(vec!["lateen".to_owned()]);
    }
    let (service, version) = last.strip_prefix("examples-bookinfo-")?.rsplit_once('-')?;
    let is_known = match service {
        "productpage" | "details" | "ratings" => version == "v1",
        "reviews" => matches!(version, "v1" | "v2" | "v3"),
        _ => false,
    };
    let words = ["lateen", "demo", service, "--service-version", version];
    is_known.then(|| words.map(str::to_owned).to_vec())
}

/// Words, with single and double quotes and backslashes as in a shell; nothing is expanded.
fn split(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut in_word) = (Vec::new(), String::new(), false);
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('\''), c) => word.push(c),
            (_, '\\') => {
                word.push(chars.next()?);
                in_word = true;
            }
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, in_word) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if in_word {
                    words.push(std::mem::take(&mut word));
                }
                in_word = false;
            }
            (None, c) => {
                word.push(c);
                in_word = true;
            }
        }
    }
    if in_word {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &[(&str, &str)], image: &str, expected: Option<&str>) {
        let given: Vec<_> = given.iter().map(|(n, c)| ((*n).to_owned(), (*c).to_owned())).collect();
        let found = Images::new(&given).unwrap().entry_point(image).map(|words| words.join("|"));
        assert_eq!(found.as_deref(), expected, "{image}");
    }

    #[test]
    fn stand_ins() {
        let reviews = Some("lateen|demo|reviews|--service-version|v3");
        check(&[], "registry.istio.io/release/examples-bookinfo-reviews-v3:1.20.3", reviews);
        check(&[], "docker.io:5000/istio/examples-bookinfo-reviews-v3@sha256:abc", reviews);
        check(&[], "examples-bookinfo-ratings-v2", None);
        check(&[], "lateen/lateen:latest", Some("lateen"));
        check(&[], "docker.io/kong/httpbin", None);
        let given = [("docker.io/kong", "a b"), ("docker.io/kong/httpbin", "sh -c 'x  y' \"q\\\"\"")];
        check(&given, "docker.io/kong/httpbin:0.1", Some("sh|-c|x  y|q\""));
        check(&given, "docker.io/kong/other", Some("a|b"));
        check(&[("httpbin", "h")], "docker.io/kong/httpbin:1", Some("h"));
        check(&[("bin", "h")], "docker.io/kong/httpbin:1", None);
    }

    #[test]
    fn bad_commands_are_refused() {
        for bad in ["", "  ", "a 'b", "a \\"] {
            assert!(Images::new(&[("x".to_owned(), bad.to_owned())]).is_err(), "{bad}");
        }
    }
}
