//! Long sentences on a terminal: broken between words, with what follows set in. Pure.

/// The least room that is worth breaking for, in columns.
const NARROWEST: usize = 20;

/// `text` in lines of at most `width` columns: the first one set in by `first` blanks, the others by `rest`. Without a
/// width it is one line. A word that is longer than a line (a path) stays whole, so that it can be copied. Colours take
/// no room.
#[must_use]
pub fn wrap(text: &str, width: Option<usize>, first: usize, rest: usize) -> Vec<String> {
    let mut line = " ".repeat(first);
    let Some(width) = width.filter(|width| *width >= rest + NARROWEST) else {
        return vec![line + text];
    };
    let (mut lines, mut used, mut empty) = (Vec::new(), first, true);
    for word in text.split(' ') {
        let room = columns(word);
        if !empty && used + 1 + room > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(rest)));
            (used, empty) = (rest, true);
        }
        if !empty {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += room;
        empty = false;
    }
    lines.push(line);
    lines
}

/// Columns that `text` takes: its characters without colour codes.
fn columns(text: &str) -> usize {
    let mut in_code = false;
    let is_shown = |c: char| {
        let code = in_code || c == '\u{1b}';
        in_code = code && c != 'm';
        !code
    };
    text.chars().map(is_shown).filter(|shown| *shown).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_breaks_between_words_and_sets_the_rest_in() {
        let text = "the first line is full, and then there is more";
        assert_eq!(wrap(text, Some(28), 2, 4), ["  the first line is full,", "    and then there is more"]);
        assert_eq!(wrap(text, None, 2, 4), [format!("  {text}")]);
    }

    #[test]
    fn a_path_stays_whole_and_colours_take_no_room() {
        let path = "/a/very/long/path/that/nobody/could/copy/otherwise";
        assert_eq!(wrap(&format!("see {path} there"), Some(30), 0, 2), ["see", &format!("  {path}"), "  there"]);
        assert_eq!(wrap("\u{1b}[31mred\u{1b}[0m and twenty more columns", Some(31), 0, 2).len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_line_of_short_words_is_too_long(
            words in prop::collection::vec("[a-z]{1,12}", 1..40), width in 24usize..100
        ) {
            let text = words.join(" ");
            let lines = wrap(&text, Some(width), 2, 4);
            let joined: Vec<&str> = lines.iter().map(|line| line.trim_start()).collect();
            prop_assert_eq!(joined.join(" "), text);
            for line in lines {
                prop_assert!(line.chars().count() <= width);
            }
        }
    }
}
