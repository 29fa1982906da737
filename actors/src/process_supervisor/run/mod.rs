//! One run: its processes from the first to the last.
//!
//! [`own`] is a future on the thread that all children share. It opens a containment, starts the main process in it,
//! pumps its output, watches its health, and carries out the orders to stop and to kill. It ends only when the main
//! process is reaped and the containment is empty and given back; whoever drops it earlier would leave a process
//! unreaped, so nobody does: the actor gives orders and hears news, and holds nothing of it.
//!
//! Orders come through a `watch`, so that they never wait behind messages; a newer one overtakes an older. When the
//! giver of orders is gone, the run is killed.

mod adopt;
mod ask;
mod context;
mod ending;
mod exec;
mod health;
mod launch;
mod output;
mod owner;
mod slumber;
mod telling;
mod waits;

pub use adopt::{Inherited, end_of};
pub use context::{
    AdoptedRun, Environment, Order, Orders, Origin, Reporter, RunContext, TakeOver, TakeOverError, TakenOver,
    foreign_surroundings, render, surroundings,
};
pub use exec::{ExecError, exec_alone, exec_in_hold};
pub use owner::own;
