//! Text for people that does nothing to the terminal of who reads it: what a program has printed, or a client has sent, may
//! hold anything. And text without what is not for everybody who reads it. Pure.

/// Whether a terminal does something else with this than to draw it in its place: control characters, line ends among them,
/// and those that turn the direction of the text (Unicode, bidirectional formatting) and so make it read otherwise than it is.
#[must_use]
pub fn is_acted_on(c: char) -> bool {
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    let turns = matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || breaks || turns
}

/// `text` on one line, with a blank for everything that a terminal would act on.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if is_acted_on(c) { ' ' } else { c }).collect()
}

/// A path of a request, for people: without its query, in which a key may stand.
#[must_use]
pub fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _query)| path)
}

/// A line of a program's output with its tabs and its end, and a blank for everything else that a terminal would act on but
/// colours (`ESC [ ... m`), if those are wanted.
#[must_use]
pub fn plain_line(line: &[u8], colors: bool) -> String {
    let text = String::from_utf8_lossy(line);
    let (mut rest, end) = match text.strip_suffix('\n') {
        Some(before) => (before.strip_suffix('\r').unwrap_or(before), "\n"),
        None => (&*text, ""),
    };
    let mut shown = String::with_capacity(text.len());
    let mut is_colored = false;
    while let Some(c) = rest.chars().next() {
        match color(rest) {
            Some(code) => {
                if colors {
                    shown.push_str(code);
                    is_colored = true;
                }
                rest = &rest[code.len()..];
            }
            None => {
                shown.push(if c != '\t' && is_acted_on(c) { ' ' } else { c });
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    // Nobody's colour goes on into what others say.
    if is_colored {
        shown.push_str("\x1b[0m");
    }
    shown + end
}

/// The code of a colour with which `text` begins.
fn color(text: &str) -> Option<&str> {
    let codes = text.strip_prefix("\x1b[")?;
    let digits = codes.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    (codes.as_bytes().get(digits) == Some(&b'm')).then(|| &text[..2 + digits + 1])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whatever_a_terminal_would_act_on_is_a_blank() {
        assert_eq!(plain("a\u{1b}[2Jb\u{7}\u{9b}c\r\nd\u{202e}e"), "a [2Jb  c  d e");
        assert_eq!(plain("größer 猫"), "größer 猫");
    }

    #[test]
    fn a_path_is_told_without_its_query() {
        assert_eq!(["/health", "/health?key=abc?d", "?", ""].map(without_query), ["/health", "/health", "", ""]);
    }

    #[test]
    fn of_output_tabs_and_line_ends_stay_and_colours_where_they_are_wanted() {
        let line = b"\x1b[1;31mred\x1b[0m\tx\x1b[2J\x1b]0;title\x07\xff\r\n";
        assert_eq!(plain_line(line, false), "red\tx [2J ]0;title \u{fffd}\n");
        assert_eq!(plain_line(line, true), "\u{1b}[1;31mred\u{1b}[0m\tx [2J ]0;title \u{fffd}\u{1b}[0m\n");
        assert_eq!(plain_line(b"1%\r2%", true), "1% 2%");
        assert_eq!([plain_line(b"\x1b[12", true), plain_line(b"\x1b[m", true)], [" [12", "\u{1b}[m\u{1b}[0m"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_that_acts_comes_through(line in prop::collection::vec(prop::sample::select(b"a\x1b[;1mJ\r\n\t\x9b\xc2\xe2\x80\xae".to_vec()), 0..60)) {
            let shown = plain_line(&line, false);
            let inner = shown.strip_suffix('\n').unwrap_or(&shown);
            prop_assert!(!inner.chars().any(|c| c != '\t' && is_acted_on(c)), "{inner:?}");
            let colored = plain_line(&line, true);
            let escapes = colored.matches('\u{1b}').count();
            let colors = colored.match_indices('\u{1b}').filter(|(at, _)| color(&colored[*at..]).is_some());
            prop_assert_eq!(escapes, colors.count());
        }
    }
}
