//! What is known about the programs that are run: one file per engine.
//!
//! An [`Engine`] says how a program is recognised and probed, which lines of its output name the cause of a failure or
//! tell how a load gets on, and how it takes being asked to stop. Those that are built in and those that an application
//! brings are the same to everybody else: [`EngineRef`] is what a spec carries, [`Engines`] what a configuration can
//! name. Pure: an engine is asked, and does nothing.
//!
//! Failure lines are judged only after the fact (exit status and health decide *whether* something failed, since engines
//! print such lines and recover); they name the cause. Order matters: the first rule that matched wins, so the cause
//! stands before what follows from it (`out of memory` before `cannot load the model`).

mod a1111;
mod comfyui;
mod diffusion;
mod engine;
mod generic;
mod hints;
mod key;
mod known;
mod llama_server;
mod loading;
mod names;
mod need;
mod reference;
mod rules;
mod sd_cpp;
mod sd_server;
mod vllm;

pub use engine::{BusyProbe, Engine, FailureLine, Followed, HttpCall, Interrupt, LoadStep, SleepCalls};
pub use hints::hint;
pub use key::KeyWords;
pub use known::{EngineProblem, Engines};
pub use loading::LoadLines;
pub use need::{ModelFacts, NeedHint};
pub use reference::EngineRef;
pub use rules::FailureRules;
pub use sd_cpp::placement;
