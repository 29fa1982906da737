//! What a service prints: every byte into its [log file](crate::os::service_log), and a view of the lines for causes,
//! readiness and the progress of a load.
//!
//! The log file gets the bytes as they are. The view works block by block and splits into lines only where somebody looks
//! at them, so that a flood costs little more than the copy; its memory is bounded whatever comes.

mod pace;
mod search;
mod splitter;
mod tail;
mod view;

pub use crate::os::service_log::{CURRENT, LogFile, log_dir, rotated_name};
pub use pace::Pace;
pub use search::{Cause, Noticed};
pub use splitter::{Ending, Line, MAX_LINE, Splitter};
pub use tail::{TAIL_LINES, Tail};
pub use view::{OutputView, Source};
