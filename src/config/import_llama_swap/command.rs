//! A command as llama-swap splits it, in Greenroom's words. Pure.

use super::macros::{Translated, translate, without_comments};

/// Programs that run what they are told in a container, outside of their own process tree.
const CONTAINERS: [&str; 3] = ["docker", "podman", "nerdctl"];

/// Options of llama-server that name the model's file (`common/arg.cpp` of llama.cpp).
const MODEL: [&str; 2] = ["-m", "--model"];

/// Program and arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Words {
    /// As Greenroom reads them.
    pub(super) words: Vec<String>,
    /// Whether the port is among them.
    pub(super) has_port: bool,
    /// What stands for nothing in them.
    pub(super) strange: Vec<String>,
}

impl Words {
    /// Splits a command. `None`: a quote is not closed, or there is no program.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut all = Self::default();
        for Translated { text, has_port, strange } in split(text)?.iter().map(|word| translate(word)) {
            all.words.push(text);
            all.has_port |= has_port;
            all.strange.extend(strange);
        }
        (!all.words.is_empty()).then_some(all)
    }

    /// Whether it leaves its work to a container.
    pub(super) fn is_container(&self) -> bool {
        let program = self.words.first().and_then(|program| program.rsplit('/').next()).unwrap_or_default();
        CONTAINERS.contains(&program) && self.words.iter().any(|word| word == "run")
    }

    /// Puts `${port}` in the place of this port, where it is an option's value; says whether it was there.
    pub(super) fn assign_port(&mut self, port: u16) -> bool {
        let (plain, option) = (port.to_string(), format!("--port={port}"));
        let mut found = false;
        for at in 1..self.words.len() {
            let is_value = self.words[at] == plain && ["--port", "-p"].contains(&self.words[at - 1].as_str());
            let new = if is_value {
                "${port}"
            } else if self.words[at] == option {
                "--port=${port}"
            } else {
                continue;
            };
            self.words[at] = new.to_owned();
            found = true;
        }
        self.has_port |= found;
        found
    }

    /// The file of the model that it names.
    pub(super) fn model_file(&self) -> Option<&str> {
        let at = self.words.iter().position(|word| MODEL.contains(&word.as_str()))?;
        self.words.get(at + 1).map(String::as_str).filter(|file| !file.is_empty() && !file.starts_with('-'))
    }

    /// Puts `${model_file}` in its place.
    pub(super) fn name_model_file(&mut self) {
        if let Some(at) = self.words.iter().position(|word| MODEL.contains(&word.as_str()))
            && let Some(word) = self.words.get_mut(at + 1)
        {
            *word = "${model_file}".to_owned();
        }
    }
}

/// Without comment lines, with lines that end in a backslash joined to the next, then as a shell splits
/// (`internal/config/commands.go`).
fn split(text: &str) -> Option<Vec<String>> {
    let text = without_comments(text);
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| match line.trim().strip_suffix('\\') {
            Some(line) => format!("{line} "),
            None => line.to_owned(),
        })
        .collect();
    shlex::split(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        Words::of(text).expect("a command")
    }

    #[test]
    fn lines_comments_and_quotes_are_read_as_llama_swap_does() {
        let text = "  # the server\n  llama-server --port ${PORT} \\\n    -m '/m/a b.gguf'\n  # more\n  --jinja\n";
        let found = words(text);
        assert_eq!(found.words, ["llama-server", "--port", "${port}", "-m", "/m/a b.gguf", "--jinja"]);
        assert!(found.has_port && found.strange.is_empty());
        assert_eq!(found.model_file(), Some("/m/a b.gguf"));
        assert_eq!(Words::of("a 'b"), None);
        assert_eq!(Words::of(" # nothing\n"), None);
    }

    #[test]
    fn a_container_is_known_by_its_program() {
        assert!(words("/usr/bin/docker run --rm image").is_container());
        assert!(!words("docker start x").is_container() && !words("dockerish run").is_container());
    }

    #[test]
    fn a_port_that_two_want_is_left_to_greenroom() {
        let mut found = words("srv --host 0.0.0.0 --port 9999 -c 9999");
        assert!(found.assign_port(9999));
        assert_eq!(found.words.join(" "), "srv --host 0.0.0.0 --port ${port} -c 9999");
        assert!(!words("docker run -p 9999:8080 x").assign_port(9999));
    }
}
