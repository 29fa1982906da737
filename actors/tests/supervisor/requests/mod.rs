//! Jobs by requests to a service, with real supervisors and processes, and the service's HTTP in the test.

mod answers;
mod cleanup;
mod comfyui;
mod lines;
mod remedies;
mod remote;
mod resets;
mod shop;

pub use shop::soon;
