//! nginx before the upstream, as its documentation says it is to be set up for keep-alive.

use std::{fs, path::Path, process::Command};

use crate::process::Server;

/// Started; `None` where it is not installed.
pub fn start(folder: &Path, port: u16, upstream: u16) -> Option<Server> {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists())?;
    let folder = folder.join("nginx");
    fs::create_dir_all(&folder).expect("the bench's folder is writable");
    let at = folder.display();
    let config = format!(
        "worker_processes 2;\ndaemon off;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{ worker_connections 8192; }}\n\
         http {{\naccess_log off;\nclient_body_temp_path {at}/body;\nproxy_temp_path {at}/proxy;\n\
         fastcgi_temp_path {at}/fastcgi;\nuwsgi_temp_path {at}/uwsgi;\nscgi_temp_path {at}/scgi;\n\
         keepalive_requests 100000000;\n\
         upstream one {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}\n\
         server {{ listen 127.0.0.1:{port};\nlocation / {{ proxy_pass http://one; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_buffering off; }} }}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config).expect("the bench's folder is writable");
    let mut command = Command::new(program);
    command.arg("-p").arg(&folder).arg("-c").arg(&file);
    Some(Server::start(command, port))
}
