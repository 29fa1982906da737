//! Control: the API on the unix socket, and the commands that speak to it.

mod api;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod events;
mod history;
mod layers;
mod logs;
mod single;
mod truth;

use common::Greenroom;

/// Two services: `web`, which serves HTTP, and `plain`, which is started by hand.
fn pair(greenroom: &Greenroom) -> String {
    let web = greenroom.stand_in("web", "--port ${port}");
    let plain = greenroom.stand_in("plain", "--no-http");
    format!(
        "[service.web]\ncommand = {web}\nready = \"/health\"\nserves = [\"gemma\"]\n\
         [service.plain]\ncommand = {plain}\nstart = \"manual\"\n"
    )
}
