//! The configuration: from files, variables and arguments to a [`RuntimeSpec`](greenroom_actors::spec::RuntimeSpec).
//!
//! One table ([`schema`]) says what every key takes. A source is read strictly and by itself into one spanned tree
//! (`parse`), held against the table (`walk`, `kind`), and put on the others by the `config` crate (`layers`,
//! `effective`). From the whole the spec is built (`build`) and checked (`validate`). [`load()`] is the way through.
//!
//! What it must never do: start anything, stop at the first problem, guess what a wrong value might mean, show a
//! secret, or panic, whatever the input.

mod build;
mod diff;
mod effective;
mod holes;
mod import_llama_swap;
mod in_code;
mod job_config;
mod kind;
mod layers;
mod load;
mod named_keys;
mod outside;
mod overrides;
mod parse;
mod problem;
pub mod schema;
mod secrets;
mod service_config;
mod source;
mod starter;
mod suggest;
mod tree;
mod validate;
mod value;
mod walk;

pub use diff::{KeyChange, Values, difference};
pub use effective::{Effective, EffectiveRow};
pub use import_llama_swap::{Imported, Told, import_llama_swap};
pub use in_code::{Config, Setting};
pub use job_config::{JobConfig, ParamConfig};
pub use load::{
    Described, Loaded, LogFormat, Sources, describe, environment, find_default, load, load_runtime, load_text,
};
pub use problem::{ConfigErrors, Place, Problem, Severity, Snippet};
pub use service_config::{Reload, ServiceConfig, Start, When};
pub use starter::starter;
pub use value::Value;
