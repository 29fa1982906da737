//! The queue under every order of events: none of the jobs is lost, none is doubled, each comes to its end; by example, and at
//! random.

mod lives;
mod random;
mod world;
