//! What can be written after `job`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use greenroom_actors::job::JobState;

/// Subcommands of `job`.
#[derive(Debug, Clone, Subcommand)]
pub enum JobCommand {
    /// Submit a job; print its id once it is on disk.
    Submit(SubmitArgs),
    /// Jobs that are open, and those that have ended lately.
    List(ListArgs),
    /// One job: where it stands, what it was given, what became of it.
    Show(OneJob),
    /// What a job's own processes have printed, all attempts.
    Logs(JobLogsArgs),
    /// Fetch the files that a job has made.
    Output(OutputArgs),
    /// Take jobs back; one that runs is stopped first.
    Cancel(Jobs),
    /// Submit a job once more, as another one with the same parameters, files and priority.
    Retry(RetryArgs),
}

/// Options of `job submit`.
#[derive(Debug, Clone, Args)]
pub struct SubmitArgs {
    /// What kind of job: the NAME of a `[job.NAME]`.
    #[arg(value_name = "NAME")]
    pub job: String,
    /// A parameter. `@FILE` in the place of the value sends that file along; `@@` stands for an `@` at the beginning.
    #[arg(short, long = "param", value_name = "KEY=VALUE", value_parser = parse_param)]
    pub params: Vec<Param>,
    /// Higher ones go first; each step counts as much as a minute of waiting.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i32,
    /// What follows.
    #[command(flatten)]
    pub then: Then,
}

/// Options of `job retry`.
#[derive(Debug, Clone, Args)]
pub struct RetryArgs {
    /// Which job.
    #[command(flatten)]
    pub job: OneJob,
    /// What follows.
    #[command(flatten)]
    pub then: Then,
}

/// What follows a submission.
#[derive(Debug, Clone, Args)]
pub struct Then {
    /// Wait for the outcome and print the files that were made. Ctrl-C ends the waiting, not the job.
    #[arg(long)]
    pub wait: bool,
    /// Wait for the outcome as with --wait, and fetch the files into this folder; one of the same name is replaced.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

impl Then {
    /// Whether the outcome is waited for: it is said, or there will be files only then.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.wait || self.output.is_some()
    }
}

/// Options of `job list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Only of this kind.
    #[arg(long, value_name = "NAME")]
    pub job: Option<String>,
    /// Only in these states, with commas between them.
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = parse_state)]
    pub state: Vec<JobState>,
    /// At most this many.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// One job.
#[derive(Debug, Clone, Args)]
pub struct OneJob {
    /// Its id, the beginning of it, or `last` for the one that was submitted last.
    pub id: String,
}

/// Some jobs.
#[derive(Debug, Clone, Args)]
pub struct Jobs {
    /// Their ids, or the beginnings of them; `last` is the one that was submitted last.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
}

/// Options of `job logs`.
#[derive(Debug, Clone, Args)]
pub struct JobLogsArgs {
    /// Which job.
    #[command(flatten)]
    pub job: OneJob,
    /// Go on with what is added, until the job has come to its end.
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the last lines.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub lines: u64,
}

/// Options of `job output`.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// Which job.
    #[command(flatten)]
    pub job: OneJob,
    /// Into this folder; a file of the same name is replaced.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
}

/// A parameter of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: ParamValue,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamValue {
    /// This text.
    Text(String),
    /// What is in this file.
    File(PathBuf),
}

fn parse_param(text: &str) -> Result<Param, String> {
    let (name, value) = text.split_once('=').ok_or("write KEY=VALUE, or KEY=@FILE for a file")?;
    if name.is_empty() {
        return Err("the name before the `=` is missing".to_owned());
    }
    let value = match value.strip_prefix('@') {
        Some("") => return Err("the name of the file after the `@` is missing".to_owned()),
        Some(rest) if rest.starts_with('@') => ParamValue::Text(rest.to_owned()),
        Some(path) => ParamValue::File(path.into()),
        None => ParamValue::Text(value.to_owned()),
    };
    Ok(Param { name: name.to_owned(), value })
}

fn parse_state(text: &str) -> Result<JobState, String> {
    let names = || JobState::ALL.map(JobState::name).join(", ");
    JobState::ALL.into_iter().find(|state| state.name() == text).ok_or_else(|| format!("one of {}", names()))
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn parse(line: &str) -> Result<JobCommand, ErrorKind> {
        let words = ["greenroom", "job"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words).map_err(|error| error.kind())?.command {
            Some(Command::Job(command)) => Ok(command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_parameter_is_a_text_or_a_file() {
        let value = |text: &str| parse_param(text).map(|param| param.value);
        assert_eq!(value("prompt=a=b"), Ok(ParamValue::Text("a=b".to_owned())));
        assert_eq!(value("prompt="), Ok(ParamValue::Text(String::new())));
        assert_eq!(value("init=@a.png"), Ok(ParamValue::File("a.png".into())));
        assert_eq!(value("prompt=@@home"), Ok(ParamValue::Text("@home".to_owned())));
        for bad in ["prompt", "=x", "init=@"] {
            assert!(value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_submission_says_what_it_wants() {
        let submitted = |line| match parse(line) {
            Ok(JobCommand::Submit(args)) => args,
            other => panic!("it parses: {other:?}"),
        };
        let args = submitted("submit image -p prompt=heron -p init=@a.png --priority -2 --wait -o out");
        assert_eq!((args.job.as_str(), args.params.len(), args.priority, args.then.waits()), ("image", 2, -2, true));
        for (line, waits) in [("submit image", false), ("submit image --wait", true), ("submit image -o out", true)] {
            assert_eq!(submitted(line).then.waits(), waits, "{line}");
        }
        assert_eq!(parse("submit image -p prompt").map(drop), Err(ErrorKind::ValueValidation));
        assert_eq!(parse("submit").map(drop), Err(ErrorKind::MissingRequiredArgument));
        assert_eq!(parse("cancel").map(drop), Err(ErrorKind::MissingRequiredArgument));
        assert_eq!(parse("list --state busy").map(drop), Err(ErrorKind::ValueValidation));
        let Ok(JobCommand::List(list)) = parse("list --state queued,failed") else { panic!("it parses") };
        assert_eq!(list.state, [JobState::Queued, JobState::Failed]);
    }
}
