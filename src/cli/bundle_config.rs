//! The configuration of a bundle that no runtime has made: what can be known of it, above all which secrets it holds.

use greenroom_actors::watchdog::bundle::ConfigText;

use super::{
    args::Global,
    place::{self, Place},
};
use crate::config::{self, ConfigErrors, Sources};

/// What is known of it.
pub struct Known {
    /// Its text and its secrets.
    pub config: ConfigText,
    /// Why some of its secrets may not be known, if so.
    pub gap: Option<String>,
}

/// Looks for the configuration of the runtime at `place`. One that is refused, as where a model file has gone, still tells its
/// secrets.
pub fn known(global: &Global, place: &Place) -> Known {
    let config = ConfigText::default();
    let sources = place::sources(global);
    if sources.files.is_empty() {
        let gap = "there is no configuration here; name it with -c".to_owned();
        return Known { config, gap: Some(gap) };
    }
    let gap = match config::describe(&sources) {
        Err(errors) => Some(format!("the configuration cannot be read: {}", first(&errors))),
        Ok(described) => {
            let whose = whose(global, sources, place);
            // What was in force at another place would only mislead; its secrets may be the same.
            config.put((whose != Whose::Another).then_some(described.text), &described.secrets);
            match (whose, described.refused) {
                (Whose::Another, _) => {
                    Some("the configuration here is that of another state dir; name it with -c".to_owned())
                }
                (_, Some(errors)) => Some(format!("the configuration has problems: {}", first(&errors))),
                (Whose::Unsaid, None) => Some(
                    "the configuration here does not say whether it is that of this state dir; name it with -c"
                        .to_owned(),
                ),
                (Whose::Its, None) => None,
            }
        }
    };
    Known { config, gap }
}

/// Whose configuration it is that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// That of the runtime in question.
    Its,
    /// It was found where one is looked for, and its state dir was named beside it.
    Unsaid,
    /// It names another state dir.
    Another,
}

fn whose(global: &Global, sources: Sources, place: &Place) -> Whose {
    if !global.config.is_empty() || global.state_dir.is_none() {
        return Whose::Its;
    }
    let of_its_own = Sources { state_dir: None, ..sources };
    match config::load_runtime(&of_its_own) {
        Ok(spec) if spec.state_dir == place.state_dir => Whose::Its,
        Ok(spec) if spec.state_dir != place::default_state_dir() => Whose::Another,
        Ok(_) | Err(_) => Whose::Unsaid,
    }
}

/// The first problem, and how many there are besides.
fn first(errors: &ConfigErrors) -> String {
    let more = errors.0.len().saturating_sub(1);
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    errors.0.first().map(|problem| format!("{problem}{more}")).unwrap_or_default()
}
