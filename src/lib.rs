//! Greenroom keeps many generative-AI processes on one GPU box in order.
//!
//! So far: its configuration.

pub mod config;

pub use greenroom_actors as actors;
