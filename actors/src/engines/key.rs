//! The key that an engine asks of whoever speaks to it, as far as its own start says it.

/// Where an engine is told its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyWords {
    /// The option of its command.
    pub option: &'static str,
    /// The variable of its environment that counts where there is no such option.
    pub variable: &'static str,
    /// Whether commas separate several keys.
    pub listed: bool,
}

impl KeyWords {
    /// A key that it takes, of these arguments and this environment; `None` where they name none.
    #[must_use]
    pub fn key(&self, arguments: &[String], variable: impl FnOnce(&str) -> Option<String>) -> Option<String> {
        let mut of_option =
            arguments.iter().enumerate().filter_map(|(at, word)| match word.strip_prefix(self.option)? {
                "" => arguments.get(at + 1).map(String::as_str),
                rest => rest.strip_prefix('='),
            });
        let said = of_option.next_back().map(str::to_owned).or_else(|| variable(self.variable))?;
        let first = if self.listed { said.split(',').next().unwrap_or_default() } else { &said };
        Some(first.trim().to_owned()).filter(|key| !key.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_off_the_command_or_else_the_environment() {
        let words = KeyWords { option: "--api-key", variable: "SRV_API_KEY", listed: true };
        let key = |command: &str, variable: Option<&str>| {
            let arguments: Vec<String> = command.split(' ').map(str::to_owned).collect();
            let known = |name: &str| variable.filter(|_| name == "SRV_API_KEY").map(str::to_owned);
            words.key(&arguments, known)
        };
        for (command, variable, expected) in [
            ("srv --api-key k1 --port 1", None, Some("k1")),
            ("srv --api-key=k1", Some("k2"), Some("k1")),
            ("srv --api-key k1,k2", None, Some("k1")),
            ("srv --port 1", Some("k2"), Some("k2")),
            ("srv --api-key-file keys", None, None),
            ("srv --api-key", None, None),
            ("srv", Some(""), None),
        ] {
            assert_eq!(key(command, variable).as_deref(), expected, "{command} {variable:?}");
        }
        let whole = KeyWords { listed: false, ..words };
        assert_eq!(whole.key(&["--api-key".to_owned(), "a,b".to_owned()], |_| None).as_deref(), Some("a,b"));
    }
}
