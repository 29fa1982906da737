//! What an uploaded file is called in the input folder of its job. Pure.

/// The longest name, in bytes.
const LONGEST: usize = 100;
/// The longest ending that is kept where a name is too long, with its dot.
const LONGEST_ENDING: usize = 16;

/// A name of letters, digits, `.`, `_` and `-` alone, which does not begin with a dot: the last part of what the file was
/// called, and another one than those that are `taken`.
#[must_use]
pub fn plain(name: &str, taken: &[String]) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let plain: String = last.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    let plain = plain.trim_start_matches('.');
    let dot = plain.rfind('.').filter(|dot| *dot > 0 && plain.len() - dot <= LONGEST_ENDING);
    let (stem, ending) = plain.split_at(dot.unwrap_or(plain.len()));
    let stem = if stem.is_empty() { "file" } else { stem };
    let numbered = |number: usize| {
        let number = if number == 1 { String::new() } else { format!("-{number}") };
        let room = LONGEST - ending.len() - number.len();
        format!("{}{number}{ending}", &stem[..stem.len().min(room)])
    };
    // As many are taken as there are, so one more is free.
    (1..=taken.len() + 1).map(numbered).find(|name| !taken.contains(name)).unwrap_or_else(|| numbered(taken.len() + 2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_part_is_kept_and_nothing_leads_elsewhere() {
        let cases = [
            ("heron.png", "heron.png"),
            ("/etc/../my heron.PNG", "my_heron.PNG"),
            ("C:\\pictures\\a.jpg", "a.jpg"),
            ("..", "file"),
            (".bashrc", "bashrc"),
            ("", "file"),
            ("über.png", "_ber.png"),
            ("-", "-"),
            ("a/", "file"),
        ];
        for (given, expected) in cases {
            assert_eq!(plain(given, &[]), expected, "{given}");
        }
        let taken = ["a.png".to_owned(), "a-2.png".to_owned()];
        assert_eq!(plain("a.png", &taken), "a-3.png");
        assert_eq!(plain(&format!("{}.safetensors", "x".repeat(300)), &[]).len(), LONGEST);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_becomes_a_name_of_its_own(names in prop::collection::vec(".{0,120}", 0..6)) {
            let mut taken: Vec<String> = Vec::new();
            for name in names {
                let plain = plain(&name, &taken);
                prop_assert!(!plain.is_empty() && plain.len() <= LONGEST && !plain.starts_with('.'));
                prop_assert!(plain.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
                prop_assert!(!taken.contains(&plain));
                taken.push(plain);
            }
        }
    }
}
