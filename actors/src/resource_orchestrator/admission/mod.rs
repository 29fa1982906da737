//! Who gets memory, when, and who leaves for it. Pure: one [`step`](Admission::step) takes what happened and says what is to
//! be done.
//!
//! **One way for all.** A start, a request, a restart after a failure, a reload and a wake all come as a [`Question`] and are
//! decided by the same function (`choice`): it plans against what is free now and against what will be free when those that
//! are on their way out have gone. It grants, or asks others to leave and waits, or waits for somebody who is loading, or
//! refuses and says who holds what is missing.
//!
//! **Order.** What an earlier question waits for is kept for it; a later one that needs none of that goes ahead. Which one is
//! the earlier, and how long a resident that is in use may stay for those who use it, is said by [`turn`].
//!
//! **Bounds.** Whoever waits is answered at the latest when everybody that it waits for must have gone: the fairness, their
//! drains, their ends and the time that memory may take to come back, added up, each service once.
//!
//! **Too large after all.** A load that runs out of GPU memory is followed by one with fewer layers on the card, once, where
//! the planner chooses how many; see `smaller`.
//!
//! **Never**: more given out than is measured to be free; anybody told to leave who is pinned, held or still loading;
//! anything pushed out for a reload, a restart or an eager start.

mod ask;
mod choice;
mod demand;
mod event;
mod idle;
mod line;
mod machine;
mod needed;
mod news;
mod reclaim;
mod returning;
mod settle;
mod showing;
mod smaller;
mod swap;
pub mod turn;

pub use event::{Around, Effect, Event, Outlook, Question, Usage};
pub use machine::Admission;
