//! The gate of one service: who may use it now, how many do, who waits for it, and who objects to its being offloaded.
//!
//! One atomic word holds the `open` flag, the counts of those who shut it, of holds and of permits, and whether somebody
//! stands in line. So
//! to enter is one compare-and-swap and no step to an actor, nobody slips in between a closing and the look at who is
//! inside, and a hold that was there first is always seen by an offload.
//!
//! Whoever cannot enter stands in line, and is let in by whoever makes room: the one who opens the gate, who leaves, or who
//! raises the limit takes the slot in the name of the first in line and wakes him. So nobody overtakes those who wait,
//! nobody polls, and a slot that is free while somebody waits is given away before anybody looks.
//!
//! Only the service's supervisor opens and closes it: it is open exactly while the service is ready. A closed gate lets
//! nobody in; those who are in stay in until they leave, those in line stay in line. Whoever is in may [`shut`](Gate::shut)
//! it, to clean up after himself without company: it lets in nobody until he lets go, open or closed.
//!
//! Pure: std atomics and locks alone. [`Place`] and [`Drained`] work on every executor.

mod entrance;
mod guards;
mod line;
mod place;
mod shared;
mod word;

pub use entrance::{Gate, Held};
pub use guards::{Alone, Drained, Hold, Needed, Permit, Shut};
pub use line::{LineFull, Ticket, Waiting};
pub use place::Place;
