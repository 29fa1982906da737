//! A service's life under every order of events: by example, and at random.

mod changes;
mod condemned;
mod ends;
mod given;
mod memory;
mod offload;
mod random;
mod random_memory;
mod runs;
mod worker;
mod world;
