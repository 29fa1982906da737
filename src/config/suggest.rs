//! "Did you mean ...?"

/// The candidate that `word` is most probably a slip of, if any is near enough.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A word that long is no slip of the keyboard, and comparing it costs its length squared.
    if word.len() > 100 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_ascii_lowercase();
        if strsim::damerau_levenshtein(&word, &candidate) <= 1 {
            return 1.0;
        }
        strsim::jaro_winkler(&word, &candidate)
    };
    candidates
        .into_iter()
        .filter(|candidate| *candidate != "*")
        .map(|candidate| (likeness(candidate), candidate))
        // Jaro-Winkler gives two unrelated words of this length up to 0.75.
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let keys = ["port", "command", "ready", "restart", "engine"];
        assert_eq!(nearest("prot", keys), Some("port"));
        assert_eq!(nearest("comand", keys), Some("command"));
        assert_eq!(nearest("Engine", keys), Some("engine"));
        assert_eq!(nearest("xyzzy", keys), None);
        assert_eq!(nearest("", keys), None);
    }
}
