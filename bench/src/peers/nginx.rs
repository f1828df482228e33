//! nginx, as a proxy for one hop, and as a backend that has files.

use std::path::Path;

use crate::hop::Hop;

/// What the configurations have in common: one process, nothing outside of our folder.
fn around(http: &str, name: &str) -> String {
    format!(
        "daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {name}.pid;
error_log {name}.error.log warn;
events {{ worker_connections 19000; multi_accept on; }}
http {{
    client_body_temp_path {name}.tmp;
    proxy_temp_path {name}.tmp;
    fastcgi_temp_path {name}.tmp;
    uwsgi_temp_path {name}.tmp;
    scgi_temp_path {name}.tmp;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
    sendfile on;
    tcp_nodelay on;
{http}
}}
"
    )
}

/// A proxy without TLS, for HTTP/1.
pub fn proxy(hop: &Hop, log: &Path) -> String {
    let http = format!(
        "    map $status $failed {{ ~^5 1; default 0; }}
    access_log {log} combined if=$failed;
    upstream backend {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{listen} backlog=1024;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
        }}
    }}",
        log = log.display(),
        upstream = hop.upstream,
        listen = hop.listen,
    );
    around(&http, &format!("{}/nginx-{}", log.parent().unwrap_or(Path::new(".")).display(), hop.listen))
}

/// The files of `www`.
pub fn backend(folder: &Path, port: u16) -> String {
    let http = format!(
        "    access_log off;
    open_file_cache max=16;
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {folder}/www;
    }}",
        folder = folder.display(),
    );
    around(&http, &format!("{}/backend", folder.display()))
}
