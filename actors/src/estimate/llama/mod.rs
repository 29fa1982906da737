//! What a model takes in llama.cpp, for any number of layers on the card, before it has ever run.
//!
//! [`Model`] is what the headers of its files say, boiled down to some sums for each layer; [`Options`] is what the
//! command says. [`Model::estimate`] puts the two together, part by part:
//!
//! | part | how it is known |
//! |---|---|
//! | weights | exact: the table of tensors |
//! | cache, states, output | llama.cpp's own arithmetic |
//! | compute and host buffers | fits to what a real llama-server says (`docs/estimates.md` has the errors) |
//! | the driver's context, the process | round allowances |
//!
//! Everything here is pure, and cheap: no more than some sums over the layers. What is not known makes a figure larger,
//! and is said in [`Estimate::notes`](super::Estimate::notes).

mod cache;
mod compute;
mod layers;
mod model;
mod options;
mod shape;
mod total;
mod weights;

pub use model::{Model, files, layers_of};
pub use options::{Experts, Options};
