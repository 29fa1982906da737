//! Whose keys are read: services and the processes of jobs have many in common. Pure.

use std::fmt;

use greenroom_actors::spec::ServiceSpec;

/// A service, a job or a remote. Prints as messages name it: ``job `image` ``.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner<'a> {
    /// `service`, `job` or `remote`.
    pub(super) section: &'static str,
    /// Its name there.
    pub(super) name: &'a str,
}

impl<'a> Owner<'a> {
    pub(super) fn service(name: &'a str) -> Self {
        Self { section: "service", name }
    }

    pub(super) fn job(name: &'a str) -> Self {
        Self { section: "job", name }
    }

    pub(super) fn remote(name: &'a str) -> Self {
        Self { section: "remote", name }
    }

    /// Where the configuration of a service, or of the worker of a job, stands.
    pub(super) fn of(spec: &'a ServiceSpec) -> Self {
        match &spec.worker {
            Some(worker) => Self::job(worker.job.as_str()),
            None => Self::service(spec.name.as_str()),
        }
    }

    /// The path of one of its keys.
    pub(super) fn key<'b>(self, rest: &[&'b str]) -> Vec<&'b str>
    where
        'a: 'b,
    {
        [&[self.section, self.name], rest].concat()
    }
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.section, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_as_messages_name_it_and_knows_its_keys() {
        let job = Owner::job("image");
        assert_eq!(
            (job.to_string(), job.key(&["stop", "grace"]).join(".")),
            ("job `image`".to_owned(), "job.image.stop.grace".to_owned())
        );
    }
}
