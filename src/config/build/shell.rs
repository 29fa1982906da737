//! Text of a client that a shell would take for its program. Pure.

use greenroom_actors::{
    spec::{ParamKind, ParamSpec},
    template::Template,
};

use super::{params::used, read::Reader};
use crate::config::source::Span;

/// Programs that run the argument after `-c`.
const SHELLS: [&str; 4] = ["sh", "bash", "dash", "zsh"];

/// Warns where one of `params` stands in what a shell runs. `what` names the command in messages. A number or a yes or no
/// is no program whatever a client sends, since it was looked at before.
pub(super) fn check(reader: &mut Reader<'_>, command: &[Template], params: &[ParamSpec], what: &str, at: Span) {
    let used = used(script(command));
    let is_free = |param: &&ParamSpec| matches!(param.kind, ParamKind::Text | ParamKind::File);
    for ParamSpec { name, .. } in params.iter().filter(is_free).filter(|param| used.contains(&param.name)) {
        let message = format!(
            "{what}: what a client sends as `{name}` is run by the shell: `${{param.{name}}}` stands after `-c`"
        );
        let help =
            format!("hand it over as an argument: [\"sh\", \"-c\", \"... \\\"$1\\\"\", \"sh\", \"${{param.{name}}}\"]");
        reader.warn(at, message, help);
    }
}

/// The program of the first shell in a command, which may stand behind others (`nice sh -c ...`).
fn script(command: &[Template]) -> Option<&Template> {
    let is_shell = |word: &Template| word.plain().rsplit('/').next().is_some_and(|name| SHELLS.contains(&name));
    let at = command.iter().position(is_shell)?;
    let mut rest = command[at + 1..].iter();
    let mut is_next = false;
    while let Some(word) = rest.next() {
        let text = word.plain();
        let Some(flags) = text.strip_prefix(['-', '+']) else { return Some(word).filter(|_| is_next) };
        if flags.starts_with('-') {
            continue;
        }
        is_next |= text.starts_with('-') && flags.contains('c');
        // Its name is the next word.
        if flags.ends_with(['o', 'O']) {
            rest.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use greenroom_actors::template::Part;

    use super::*;

    /// Words with a blank between; `@` stands for a param.
    fn found(command: &str) -> bool {
        let word = |word: &str| match word.split_once('@') {
            Some((before, after)) => Template(vec![
                Part::Text(before.to_owned()),
                Part::Param("prompt".to_owned()),
                Part::Text(after.to_owned()),
            ]),
            None => Template::text(word),
        };
        let words: Vec<Template> = command.split(' ').map(word).collect();
        used(script(&words)).contains("prompt")
    }

    #[test]
    fn a_param_in_what_a_shell_runs_is_seen() {
        for command in [
            "sh -c x@y",
            "/bin/bash -c @",
            "bash -euo pipefail -c @",
            "bash -ec @ sh",
            "bash --norc -c @",
            "nice -n 5 dash -c @",
            "zsh -c -e @",
        ] {
            assert!(found(command), "{command}");
        }
    }

    #[test]
    fn a_param_that_is_an_argument_of_its_own_is_not() {
        for command in
            ["sh -c x sh @", "sh script @", "sh script -c @", "draw -c @", "sh -e @", "bash -o c @", "sh", "sh -c"]
        {
            assert!(!found(command), "{command}");
        }
    }
}
