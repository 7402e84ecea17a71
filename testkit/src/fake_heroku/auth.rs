//! Who may call: the token as bearer, or as the password of HTTP Basic with any user; and what its scope allows.

use axum::http::{HeaderMap, Method, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::errors::ApiError;

/// Checks the credentials.
pub(crate) fn check_token(headers: &HeaderMap, token: &str) -> Result<(), ApiError> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (scheme, credentials) = value.split_once(' ').unwrap_or_default();
    let given = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(credentials.trim().to_owned()),
        "basic" => password(credentials.trim()),
        _ => None,
    };
    if given.as_deref() == Some(token) { Ok(()) } else { Err(ApiError::unauthorized()) }
}

fn password(credentials: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// The scopes that open this call, as the `Oauth-Scope-Accepted` header lists them.
pub(crate) fn accepted_scopes(method: &Method, segments: &[&str]) -> &'static str {
    match (method, segments) {
        (_, ["account", "rate-limits"]) => "global identity read read-protected write write-protected",
        (_, ["account", ..]) => "global identity",
        (&Method::GET, _) => "global read read-protected write write-protected",
        _ => "global write write-protected",
    }
}

/// Checks the scope. The text of the refusal is not verified.
pub(crate) fn check_scope(scope: &str, accepted: &str) -> Result<(), ApiError> {
    if accepted.split(' ').any(|one| one == scope) {
        return Ok(());
    }
    Err(ApiError::of_status(403, format!("The scope of this token ({scope}) does not allow this. Needed: {accepted}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_opens_as_bearer_and_as_password() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let table = [
            ("bearer", Some("Bearer secret".to_owned()), true),
            ("bearer in lower case", Some("bearer secret".to_owned()), true),
            ("no user", Some(basic(":secret")), true),
            ("any user", Some(basic("ops@example.com:secret")), true),
            ("the token as user", Some(basic("secret:")), false),
            ("another token", Some("Bearer other".to_owned()), false),
            ("a part of it", Some("Bearer secre".to_owned()), false),
            ("no scheme", Some("secret".to_owned()), false),
            ("not base64", Some("Basic ???".to_owned()), false),
            ("no header", None, false),
        ];
        for (name, value, opens) in table {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(check_token(&headers, "secret").is_ok(), opens, "{name}");
        }
    }

    #[test]
    fn a_reading_scope_may_read_and_not_write() {
        let formation = ["apps", "a", "formation"];
        for (scope, reads, writes) in
            [("global", true, true), ("read", true, false), ("write", true, true), ("identity", false, false)]
        {
            assert_eq!(check_scope(scope, accepted_scopes(&Method::GET, &formation)).is_ok(), reads, "{scope}");
            assert_eq!(check_scope(scope, accepted_scopes(&Method::PATCH, &formation)).is_ok(), writes, "{scope}");
        }
    }
}
