//! What the environment says about sending metrics, by the names that OpenTelemetry gave these variables.
//!
//! What cannot be understood is an error in words, and no metrics are sent; it is never guessed. No error repeats a value,
//! for headers are secrets.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use crate::environment::{
    Environment, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
    OTEL_EXPORTER_OTLP_METRICS_HEADERS, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TIMEOUT,
    OTEL_METRIC_EXPORT_INTERVAL, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME, Variable,
};

/// What is appended to an address that is not for metrics alone. Source: OTLP specification, "OTLP/HTTP request".
const PATH: &str = "v1/metrics";

/// How often metrics are sent when nobody says. Source: OpenTelemetry SDK environment variables.
const USUAL_INTERVAL: Duration = Duration::from_secs(60);

/// How long sending may take when nobody says. Source: OTLP exporter environment variables.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Nobody may ask for more work than this: ten times a second.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Nobody may keep a hanging connection for longer.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Where to send metrics, how and how often.
#[derive(Clone)]
pub struct Settings {
    /// Where to.
    pub endpoint: Url,
    /// What goes with them; marked as sensitive.
    pub headers: HeaderMap,
    /// How often.
    pub interval: Duration,
    /// How long it may take.
    pub timeout: Duration,
    /// Whose they are.
    pub resource: BTreeMap<String, String>,
}

impl Settings {
    /// What the environment says; nothing when metrics are not to be sent.
    ///
    /// # Errors
    /// What cannot be understood.
    pub fn find(environment: &Environment) -> Result<Option<Self>, String> {
        let Some(endpoint) = endpoint(environment)? else { return Ok(None) };
        let protocol = environment.get(OTEL_EXPORTER_OTLP_PROTOCOL.name).map_or("http/protobuf", str::trim);
        if protocol != "http/protobuf" {
            return Err(format!("{} is not http/protobuf, the only one we speak", OTEL_EXPORTER_OTLP_PROTOCOL.name));
        }
        let mut headers = HeaderMap::new();
        for variable in [OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_METRICS_HEADERS] {
            for (name, value) in pairs(environment, variable)? {
                let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
                let (name, mut value) = header.ok_or_else(|| wrong(variable, "names and values of HTTP headers"))?;
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        let mut resource: BTreeMap<_, _> = pairs(environment, OTEL_RESOURCE_ATTRIBUTES)?.into_iter().collect();
        if let Some(name) = environment.get(OTEL_SERVICE_NAME.name) {
            resource.insert("service.name".to_owned(), name.to_owned());
        }
        resource.entry("service.name".to_owned()).or_insert_with(|| "autoscalebot".to_owned());
        resource.entry("service.version".to_owned()).or_insert_with(|| env!("CARGO_PKG_VERSION").to_owned());
        let interval = milliseconds(environment, OTEL_METRIC_EXPORT_INTERVAL)?.unwrap_or(USUAL_INTERVAL);
        let timeout = milliseconds(environment, OTEL_EXPORTER_OTLP_TIMEOUT)?.unwrap_or(USUAL_TIMEOUT);
        let (interval, timeout) = (interval.max(SHORTEST_INTERVAL), timeout.min(LONGEST_TIMEOUT));
        Ok(Some(Self { endpoint, headers, interval, timeout, resource }))
    }
}

fn endpoint(environment: &Environment) -> Result<Option<Url>, String> {
    let of = |variable: Variable| {
        let Some(text) = environment.get(variable.name) else { return Ok(None) };
        let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.map(Some).ok_or_else(|| wrong(variable, "an address such as http://localhost:4318"))
    };
    if let Some(url) = of(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT)? {
        return Ok(Some(url));
    }
    let Some(mut url) = of(OTEL_EXPORTER_OTLP_ENDPOINT)? else { return Ok(None) };
    let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(Some(url))
}

fn milliseconds(environment: &Environment, variable: Variable) -> Result<Option<Duration>, String> {
    let Some(text) = environment.get(variable.name) else { return Ok(None) };
    let number = text.trim().parse::<u64>().ok().filter(|number| *number > 0);
    number.map(|number| Some(Duration::from_millis(number))).ok_or_else(|| wrong(variable, "milliseconds, 1 or more"))
}

/// `name=value,name=value`, as W3C Baggage writes it.
fn pairs(environment: &Environment, variable: Variable) -> Result<Vec<(String, String)>, String> {
    let text = environment.get(variable.name).unwrap_or_default();
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some((decoded(name.trim())?, decoded(value.trim())?)).filter(|(name, _)| !name.is_empty())
    };
    let pairs: Option<Vec<_>> = parts.map(pair).collect();
    pairs.ok_or_else(|| wrong(variable, "name=value, separated by commas, values percent-encoded"))
}

/// Undoes percent-encoding. Nothing when what comes out is no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let byte = match (first, more) {
            (b'%', [high, low, ..]) => {
                let digits = [*high, *low];
                std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        // A lone % stands for itself, as everybody else takes it.
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &more[2..] } else { more };
    }
    String::from_utf8(bytes).ok()
}

fn wrong(variable: Variable, expected: &str) -> String {
    format!("{} is not what it should be: {expected}", variable.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<const COUNT: usize>(variables: [(&str, &str); COUNT]) -> Result<Option<Settings>, String> {
        Settings::find(&variables.into_iter().collect())
    }

    #[test]
    fn without_an_address_nothing_is_sent() {
        assert!(find([("OTEL_METRIC_EXPORT_INTERVAL", "5000")]).unwrap().is_none());
    }

    #[test]
    fn a_general_address_gets_the_path_of_metrics_and_one_for_metrics_is_taken_as_it_is() {
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/otlp/");
        assert_eq!(find([general]).unwrap().unwrap().endpoint.as_str(), "http://collector:4318/otlp/v1/metrics");
        let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://example.com/here");
        assert_eq!(find([general, own]).unwrap().unwrap().endpoint.as_str(), "https://example.com/here");
    }

    #[test]
    fn headers_are_decoded_those_for_metrics_win_and_none_is_ever_shown() {
        let found = find([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20hush, x-team = a%2Cb"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-team=c%"),
        ]);
        let headers = found.unwrap().unwrap().headers;
        assert_eq!(headers["authorization"], "Bearer hush");
        assert_eq!(headers["x-team"], "c%");
        assert!(!format!("{headers:?}").contains("hush"));
    }

    #[test]
    fn what_cannot_be_understood_is_named_and_its_value_is_not() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "collector:hush"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hush"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hush"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=hush%0A"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "hush"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "hush"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_RESOURCE_ATTRIBUTES", "=hush"),
        ] {
            let Err(error) = find([endpoint, (name, value)]) else { panic!("{name}={value} is taken") };
            assert!(error.contains(name) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_service_has_a_name_whatever_the_environment_says() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        let name = |variables: Option<(&str, &str)>| {
            let variables = [endpoint].into_iter().chain(variables);
            Settings::find(&variables.collect()).unwrap().unwrap().resource["service.name"].clone()
        };
        assert_eq!(name(None), "autoscalebot");
        assert_eq!(name(Some(("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop%20bot"))), "shop bot");
        assert_eq!(name(Some(("OTEL_SERVICE_NAME", "mine"))), "mine");
    }
}
