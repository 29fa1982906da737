//! What a configuration holds that nobody else may see, so that it can be taken out of what is passed on.

use greenroom_actors::{spec::RuntimeSpec, watchdog::bundle::Secrets};

use super::{
    effective::Effective,
    holes::{Piece, from_outside, pieces},
    outside::Outside,
};

/// The values that are masked in what is shown of it, and the contents of every file that it takes in (`${file:...}`).
pub(super) fn secrets(effective: &Effective, spec: &RuntimeSpec, outside: &dyn Outside) -> Secrets {
    let mut values = Vec::new();
    for (text, span, is_hidden) in effective.texts() {
        for piece in pieces(text).unwrap_or_default() {
            let Piece::Hole(hole) = piece else { continue };
            let base = effective.sources().base(span);
            if let Some(Ok(filling)) = from_outside(hole, base, outside)
                && (filling.secret || is_hidden)
            {
                values.push(filling.text);
            }
        }
        if is_hidden {
            values.push(text.to_owned());
        }
    }
    Secrets::new(values).and(&Secrets::of_spec(spec))
}

#[cfg(test)]
mod tests {
    use crate::config::{Sources, describe, load, load_text};

    #[test]
    fn whatever_is_masked_or_comes_from_a_file_is_known_as_a_secret() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("key"), "of-a-file-11\n").expect("written");
        let text = "gateway.api_keys = [\"of-the-gate-22\"]\n[macros]\nm = \"${file:key}\"\n[service.chat]\n\
                    command = [\"/bin/true\", \"--flag\", \"${m}\"]\n\
                    env = { A_TOKEN = \"of-a-variable-33\", B_KEY = \"${env.OUTER}\", C = \"no-secret-55\" }\n";
        let env = [("HOME", "/"), ("OUTER", "of-the-outside-44")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let sources = Sources { env: env.to_vec(), ..Sources::default() };
        let loaded =
            load_text("greenroom.toml", text, dir.path(), &sources).unwrap_or_else(|errors| panic!("{errors}"));
        let said = "of-a-file-11 of-the-gate-22 of-a-variable-33 of-the-outside-44 no-secret-55";
        assert_eq!(loaded.secrets.remove_from(said), "*** *** *** *** no-secret-55");
        let shown = loaded.effective.text();
        assert!(shown.contains("service.chat.env.A_TOKEN = \"***\"  # "), "{shown}");
        for secret in ["of-a-file-11", "of-the-gate-22", "of-a-variable-33", "of-the-outside-44"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let bare: String =
            shown.lines().filter_map(|line| line.rsplit_once("  # ")).map(|(line, _)| format!("{line}\n")).collect();
        assert!(bare.parse::<toml::Table>().is_ok(), "{shown}");
    }

    #[test]
    fn of_who_is_told_of_alerts_only_the_webhook_is_a_secret() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = "[watchdog]\nnotify = { webhook = \"https://example.org/a-long-path-77\", exec = [\"/bin/echo\", \
                    \"Greenroom says:\"] }\n";
        let env = vec![("HOME".to_owned(), "/".to_owned())];
        let loaded = load_text("greenroom.toml", text, dir.path(), &Sources { env, ..Sources::default() });
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
        let said = "/bin/echo \"Greenroom says:\" https://example.org/a-long-path-77";
        assert_eq!(loaded.secrets.remove_from(said), "/bin/echo \"Greenroom says:\" ***");
        assert_eq!(loaded.secrets.remove_from("POST /a-long-path-77"), "POST /***");
        let shown = loaded.effective.text();
        let line = shown.lines().find(|line| line.starts_with("watchdog.notify = ")).expect("it is shown");
        let expected = "watchdog.notify = { webhook = \"***\", exec = [\"/bin/echo\", \"Greenroom says:\"] }  # greenroom.toml:2:10";
        assert_eq!(line, expected);
    }

    #[test]
    fn of_a_configuration_that_is_refused_the_secrets_are_known_all_the_same() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("greenroom.toml");
        let text = "gateway.api_keys = [\"of-the-gate-22\"]\n[service.chat]\ncommand = [\"/bin/true\", \"--api-key\", \
                    \"of-an-option-33\", \"${env.NOT_THERE}\"]\nmodel_file = \"gone.gguf\"\nenv = { A_TOKEN = \
                    \"of-a-variable-44\" }\n";
        std::fs::write(&file, text).expect("written");
        let env = vec![("HOME".to_owned(), "/".to_owned())];
        let sources = Sources { files: vec![file.clone()], env, ..Sources::default() };
        assert!(load(&sources).is_err());
        let described = describe(&sources).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(described.refused.is_some() && described.text.contains("gateway.api_keys"), "{described:?}");
        let said = "of-the-gate-22 of-an-option-33 of-a-variable-44 no-secret-55";
        assert_eq!(described.secrets.remove_from(said), "*** *** *** no-secret-55");
        std::fs::write(&file, "this is no TOML").expect("written");
        assert!(describe(&sources).is_err());
    }
}
