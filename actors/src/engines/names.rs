//! Recognising a program by the names in its command.

/// The program's own name: without its folder, in lower case, and without `.sh`.
pub(super) fn program_name(program: &str) -> String {
    let name = last_part(program);
    name.strip_suffix(".sh").unwrap_or(&name).to_owned()
}

/// The script or module that a Python interpreter is told to run, if `program` is one: the words that may name it, in
/// lower case. Options of the interpreter come before it, so the first few words are looked at.
pub(super) fn python_words<'a>(program: &str, arguments: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    let words = if last_part(program).starts_with("python") { arguments } else { &[] };
    words.iter().take(6).map(|word| word.to_ascii_lowercase())
}

/// What stands after the last slash, in lower case.
pub(super) fn last_part(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
}
