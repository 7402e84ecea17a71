//! Certificates that a test makes for itself, with the `openssl` program: an authority and a server that it vouches for.

use std::process::Command;

use super::text;
use crate::program::Folder;

/// The files `authority.pem`, `authority.key`, `server.pem` and `server.key`. The server's certificate is for
/// `localhost` and `127.0.0.1`, valid for two days, and signed by the authority.
pub struct Certificates(Folder);

impl Certificates {
    /// Makes new ones.
    ///
    /// # Panics
    /// When `openssl` is missing or refuses.
    #[must_use]
    pub fn new() -> Self {
        const CURVE: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let certificates = Self(Folder::new());
        let path = |name| certificates.path(name);
        let extensions = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n";
        certificates.0.write("extensions", extensions);
        let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=an authority of the tests"];
        openssl(
            &[&authority[..], &CURVE, &["-keyout", &path("authority.key"), "-out", &path("authority.pem")]].concat(),
        );
        let request =
            ["req", "-new", "-subj", "/CN=localhost", "-keyout", &path("server.key"), "-out", &path("request")];
        openssl(&[&request[..], &CURVE].concat());
        let signed = ["x509", "-req", "-days", "2", "-in", &path("request"), "-out", &path("server.pem")];
        let by = ["-CA", &path("authority.pem"), "-CAkey", &path("authority.key"), "-CAcreateserial"];
        openssl(&[&signed[..], &by, &["-extfile", &path("extensions")]].concat());
        certificates
    }

    /// The path of one of the files.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        text(self.0.path().join(name))
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("the openssl program");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
