//! The files of the dashboard, in the program itself.
//!
//! They are compressed when the first of them is asked for: that takes some milliseconds once, and saves a build script
//! and a second copy of everything in the program. Names do not change with contents, so browsers ask each time whether
//! theirs is still right; the answer is a line.

use std::{collections::BTreeMap, fmt::Write, io::Write as _, sync::LazyLock};

use axum::{
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

use super::failure::Failure;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../dashboard/", $name)))),*]
    };
}

/// Every file, in the order of the alphabet; a test says when one is missing.
const FILES: &[(&str, &[u8])] = files![
    "api.js",
    "app.css",
    "app.js",
    "charts.js",
    "commands.js",
    "dom.js",
    "entries.js",
    "favicon.svg",
    "history.js",
    "index.html",
    "journal.js",
    "live.js",
    "marks.js",
    "overview.js",
    "pages.css",
    "process.js",
    "reading.js",
    "recent.js",
    "settings.js",
    "table.js",
    "theme.js",
    "vendor/LICENSE-uPlot",
    "vendor/README.md",
    "vendor/uPlot.iife.min.js",
    "vendor/uPlot.min.css",
    "words.js",
];

/// A file, ready to be sent.
struct File {
    kind: &'static str,
    tag: HeaderValue,
    plain: &'static [u8],
    /// Only when it is smaller.
    gzip: Option<Bytes>,
}

static READY: LazyLock<BTreeMap<&'static str, File>> =
    LazyLock::new(|| FILES.iter().map(|(name, plain)| (*name, File::new(name, plain))).collect());

/// The page.
pub async fn index(headers: HeaderMap) -> Response {
    answer("index.html", &headers)
}

/// A file of the page.
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    answer(&name, &headers)
}

fn answer(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = READY.get(name) else {
        return Failure::new(StatusCode::NOT_FOUND, "not_found", "the dashboard has no such file").into_response();
    };
    let said = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let tag = file.tag.to_str().unwrap_or_default();
    let known = said(header::IF_NONE_MATCH).split(',').map(|tag| tag.trim().trim_start_matches("W/"));
    let mut response = if known.into_iter().any(|known| known == tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match file.gzip.as_ref().filter(|_| accepts_gzip(said(header::ACCEPT_ENCODING))) {
            Some(gzip) => {
                let mut response = Body::from(gzip.clone()).into_response();
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                response
            }
            None => Body::from(Bytes::from_static(file.plain)).into_response(),
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    headers.insert(header::ETAG, file.tag.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

fn accepts_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|encoding| {
        let (name, weight) = encoding.split_once(';').unwrap_or((encoding, ""));
        let is_refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0));
        matches!(name.trim(), "gzip" | "*") && !is_refused
    })
}

impl File {
    fn new(name: &str, plain: &'static [u8]) -> Self {
        let digest = Sha256::digest(plain);
        let mut tag = String::from("\"");
        for byte in &digest[..16] {
            // Writing into a text cannot fail.
            let _ = write!(tag, "{byte:02x}");
        }
        tag.push('"');
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = encoder.write_all(plain).and_then(|()| encoder.finish()).ok();
        let tag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""));
        let gzip = gzip.filter(|gzip| gzip.len() < plain.len()).map(Bytes::from);
        Self { kind: kind(name), tag, plain, gzip }
    }
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        path::{Path, PathBuf},
    };

    use super::*;

    fn below(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn every_file_of_the_dashboard_is_in_the_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard");
        let names = below(&folder).into_iter().map(|path| path.strip_prefix(&folder).unwrap().display().to_string());
        let listed: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names.collect::<BTreeSet<_>>(), listed, "FILES in assets.rs lists them");
    }

    #[test]
    fn a_file_is_compressed_for_whoever_wants_it_and_not_sent_again_to_whoever_has_it() {
        let headers = |name: header::HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        let encoding = |accepted: &str| {
            let response = answer("app.js", &headers(header::ACCEPT_ENCODING, accepted));
            response.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(encoding("br, gzip;q=0.5").as_deref(), Some("gzip"));
        assert_eq!(encoding("gzip;q=0"), None);
        assert_eq!(encoding("identity"), None);
        let first = answer("app.js", &HeaderMap::new());
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert_eq!(answer("app.js", &headers(header::IF_NONE_MATCH, &tag)).status(), 304);
        assert_eq!(answer("../server/mod.rs", &HeaderMap::new()).status(), 404);
    }
}
