//! A stand-in for a WebUI, and a job that asks it for an image.

use super::greenroom::Greenroom;

impl Greenroom {
    /// `[service.webui]` with these options of the stand-in and these keys, and `[job.image]` that asks it.
    pub fn webui(&self, options: &str, service: &str, job: &str) -> String {
        let command = self.stand_in("webui", &format!("--engine webui --port ${{port}} {options}"));
        format!(
            r#"
[service.webui]
engine = "a1111"
command = {command}
gpu = "none"
{service}
{}"#,
            image_job("webui", job)
        )
    }
}

/// `[job.image]` that asks this service or remote, with these keys.
pub fn image_job(service: &str, keys: &str) -> String {
    format!(
        r#"
[job.image]
service = "{service}"
request = {{ method = "POST", path = "/sdapi/v1/txt2img" }}
params.prompt = {{}}
params.steps = {{ default = 3 }}
{keys}
"#
    )
}
