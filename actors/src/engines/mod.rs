//! What is known about the programs that are run: one file per engine.
//!
//! An engine is described by its [`Traits`]: lines of output that name the cause of a failure, and how it takes being
//! asked to stop. The lines are judged only after the fact (exit status and health decide *whether* something failed,
//! since engines print such lines and recover); they name the cause. Order matters: the first rule that matched wins, so
//! the cause stands before what follows from it (`out of memory` before `cannot load the model`).

mod a1111;
mod comfyui;
mod generic;
mod hints;
mod llama_server;
mod rules;
mod sd_server;
mod traits;
mod vllm;

pub use hints::hint;
pub use rules::FailureRules;
pub use traits::{Line, Traits, traits};
