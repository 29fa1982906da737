//! Whom a name means: the routing table. Pure.
//!
//! It is never changed: when services come or go, another one takes its place. A look-up hashes the name once and
//! allocates nothing.

use std::{collections::HashMap, rc::Rc};

/// Everything that requests can go to, by each of its names.
#[derive(Debug)]
pub struct Table<T> {
    targets: Vec<Rc<T>>,
    by_name: HashMap<String, usize>,
    /// The name that clients know each by, in the order of the targets.
    known: Vec<String>,
    /// What is meant by a request that names none, and wants no image.
    unnamed: Unnamed,
    /// The same for one that wants an image.
    unnamed_image: Unnamed,
}

/// What comes of a request to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Makes {
    /// Whatever its program makes, which nobody knows here.
    Anything,
    /// No images.
    NoImages,
    /// Images, and nothing else.
    Images,
}

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// An image.
    Image,
    /// Something else.
    Other,
}

/// What is meant by a request that names none.
#[derive(Debug)]
enum Unnamed {
    /// The only one, or the default.
    Is(usize),
    /// The default, which is none of them.
    NotThere(String),
    /// There are several, and no default.
    NoModel,
}

/// Why a request goes to nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unrouted {
    /// Nobody has that name.
    #[error("there is no model `{name}`; {}", listed(.known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// It names none, and there is none that goes without saying.
    #[error(
        "the request names no model: neither as `model` in its body or its query nor in the header X-Model; {}",
        listed(.known)
    )]
    NoModel {
        /// What there is.
        known: Vec<String>,
    },
}

fn listed(known: &[String]) -> String {
    match known {
        [] => "no service has a port that requests could go to".to_owned(),
        known => format!("there are: {}", known.join(", ")),
    }
}

/// One entry: its own name, the names that clients use for it, and what it is.
#[derive(Debug)]
pub struct Entry<'a, T> {
    /// Its own name.
    pub name: &'a str,
    /// The names that clients use. Where two entries claim one name, the first has it.
    pub serves: &'a [String],
    /// What comes of a request to it.
    pub makes: Makes,
    /// What it is.
    pub target: T,
}

impl<T> Table<T> {
    /// Of these; `default` is what is meant by a request that names none, where there are several (empty: nothing).
    pub fn new<'a>(entries: impl IntoIterator<Item = Entry<'a, T>>, default: &str) -> Self {
        let (mut targets, mut by_name, mut known) = (Vec::new(), HashMap::new(), Vec::new());
        let (mut for_images, mut for_others) = (Vec::new(), Vec::new());
        for Entry { name, serves, makes, target } in entries {
            let place = targets.len();
            for name in std::iter::once(name).chain(serves.iter().map(String::as_str)) {
                by_name.entry(name.to_owned()).or_insert(place);
            }
            for_images.extend((makes != Makes::NoImages).then_some(place));
            for_others.extend((makes != Makes::Images).then_some(place));
            known.push(serves.first().map_or(name, String::as_str).to_owned());
            targets.push(Rc::new(target));
        }
        let unnamed = |candidates: &[usize]| match (candidates, by_name.get(default)) {
            (&[place], _) | (_, Some(&place)) => Unnamed::Is(place),
            (_, None) if default.is_empty() => Unnamed::NoModel,
            (_, None) => Unnamed::NotThere(default.to_owned()),
        };
        // Who wants an image where nobody makes any is told so by whoever else there is.
        let for_images = if for_images.is_empty() { &for_others } else { &for_images };
        let (unnamed_image, unnamed) = (unnamed(for_images), unnamed(&for_others));
        Self { targets, by_name, known, unnamed, unnamed_image }
    }

    /// The one of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self, name: &str) -> Result<&Rc<T>, Unrouted> {
        match self.by_name.get(name) {
            Some(&place) => Ok(&self.targets[place]),
            None => Err(Unrouted::Unknown { name: name.to_owned(), known: self.known.clone() }),
        }
    }

    /// The one that a request means: by the first name that it tells, else the only one that makes what it wants, else the
    /// default.
    ///
    /// # Errors
    /// When a name is unknown, or there is none at all.
    pub fn choose<'n>(
        &self,
        told: impl IntoIterator<Item = Option<&'n str>>,
        wanted: Wanted,
    ) -> Result<&Rc<T>, Unrouted> {
        if let Some(name) = told.into_iter().flatten().find(|name| !name.is_empty()) {
            return self.find(name);
        }
        let unnamed = match wanted {
            Wanted::Image => &self.unnamed_image,
            Wanted::Other => &self.unnamed,
        };
        match unnamed {
            Unnamed::Is(place) => Ok(&self.targets[*place]),
            Unnamed::NotThere(name) => self.find(name),
            Unnamed::NoModel => Err(Unrouted::NoModel { known: self.known.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[(&str, &[&str])], default: &str) -> Table<String> {
        let owned = |serves: &[&str]| serves.iter().map(ToString::to_string).collect::<Vec<_>>();
        let serves: Vec<Vec<String>> = names.iter().map(|(_, serves)| owned(serves)).collect();
        let entries = names.iter().zip(&serves);
        let entries = entries.map(|((name, _), serves)| Entry {
            name,
            serves,
            makes: Makes::Anything,
            target: (*name).to_owned(),
        });
        Table::new(entries, default)
    }

    fn chosen(table: &Table<String>, told: [Option<&str>; 2]) -> Result<String, Unrouted> {
        table.choose(told, Wanted::Other).map(|target| target.as_ref().clone())
    }

    #[test]
    fn the_first_name_that_is_told_counts() {
        let all = table(&[("chat", &["gemma"]), ("code", &["qwen", "qwen:latest"])], "");
        assert_eq!(chosen(&all, [Some("qwen:latest"), Some("gemma")]).as_deref(), Ok("code"));
        assert_eq!(chosen(&all, [Some(""), Some("chat")]).as_deref(), Ok("chat"));
        let known = vec!["gemma".to_owned(), "qwen".to_owned()];
        assert_eq!(chosen(&all, [None, None]), Err(Unrouted::NoModel { known: known.clone() }));
        let unknown = Unrouted::Unknown { name: "gpt".to_owned(), known };
        assert_eq!(chosen(&all, [Some("gpt"), Some("gemma")]), Err(unknown));
    }

    #[test]
    fn who_names_none_gets_the_only_one_or_the_default() {
        let two: [(&str, &[&str]); 2] = [("chat", &["gemma"]), ("code", &["qwen"])];
        assert_eq!(chosen(&table(&two, "qwen"), [None, None]).as_deref(), Ok("code"));
        assert_eq!(chosen(&table(&two[..1], "qwen"), [None, None]).as_deref(), Ok("chat"));
        let told = chosen(&table(&two, "gone"), [None, None]).expect_err("it is not there").to_string();
        assert_eq!(told, "there is no model `gone`; there are: gemma, qwen");
        for nobody in [chosen(&table(&[], ""), [None, None]), chosen(&table(&[], ""), [Some("gpt"), None])] {
            let told = nobody.expect_err("there is none").to_string();
            assert!(told.ends_with("; no service has a port that requests could go to"), "{told}");
        }
    }

    #[test]
    fn a_name_that_two_claim_belongs_to_the_first() {
        let both = table(&[("a", &["x"]), ("b", &["x", "a"])], "");
        assert_eq!(both.find("x").map(|target| target.as_str()), Ok("a"));
        assert_eq!(both.find("a").map(|target| target.as_str()), Ok("a"));
        assert_eq!(both.find("b").map(|target| target.as_str()), Ok("b"));
    }

    #[test]
    fn who_names_none_gets_the_only_one_that_makes_what_is_wanted() {
        let of = |all: &[(&'static str, Makes)], default: &str, wanted| {
            let entry = |&(name, makes)| Entry { name, serves: &[], makes, target: name };
            let table = Table::new(all.iter().map(entry), default);
            table.choose([None], wanted).map(|target| **target).ok()
        };
        let (chat, web) = (("chat", Makes::NoImages), ("web", Makes::Anything));
        let (sdxl, flux) = (("sdxl", Makes::Images), ("flux", Makes::Images));
        let both = |all: &[_], default| (of(all, default, Wanted::Image), of(all, default, Wanted::Other));
        assert_eq!(both(&[chat, sdxl], ""), (Some("sdxl"), Some("chat")));
        assert_eq!(both(&[sdxl], ""), (Some("sdxl"), None), "a chat is nothing for it");
        assert_eq!(both(&[chat], ""), (Some("chat"), Some("chat")), "who cannot do it says so");
        assert_eq!(both(&[chat, web], ""), (Some("web"), None));
        assert_eq!(both(&[web, sdxl], ""), (None, Some("web")));
        assert_eq!(both(&[chat, sdxl, flux], "flux"), (Some("flux"), Some("chat")));
    }
}
