//! The lines a measurement leaves behind: one JSON object to a line (NDJSON),
//! a head first, then what was measured and how it compares.
//!
//! Readers pass over fields they do not know, so that fields can be added
//! without a new schema; a schema they do not know they refuse.

use super::goal::Goal;
use super::histogram::Percentiles;
use super::median::median;
use super::ratio::Ratio;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The schema that is written and read here.
pub const SCHEMA: u64 = 1;

/// What a case was run with, by name: `"hops": 4`.
pub type Parameters = BTreeMap<String, Value>;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
pub enum Line {
    /// The first: who measured, where and when.
    Head(Head),
    /// What a subject did in a case.
    Measure(Measure),
    /// How two subjects compare in a case.
    Ratio(RatioLine),
}

/// Who measured, where and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// [`SCHEMA`].
    pub schema: u64,
    /// What measured: `hop-bench`.
    pub tool: String,
    /// Its version.
    pub version: String,
    /// When it began, in RFC 3339.
    pub started: String,
    /// On what machine.
    pub host: Host,
    /// What its random numbers came from, if it had any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What all cases were run with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: Parameters,
}

/// The machine, as far as figures depend on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// How many processors could be used.
    pub cpus: u32,
    /// The kernel's release.
    pub kernel: String,
    /// The processor's model.
    pub cpu: String,
    /// The load of the last minute when the measurement began, in processes.
    pub load1: f64,
}

/// What a subject did in a case, round by round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What was done: `hop`.
    pub case: String,
    /// By whom: `ours`, `bare`.
    pub subject: String,
    /// With what.
    #[serde(default)]
    pub parameters: Parameters,
    /// The unit of `rounds` and `median`: `us`, `msg/s`.
    pub unit: String,
    /// A figure for each round, in the order of the rounds.
    pub rounds: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// Latencies of single messages over all rounds, where they were taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// Latencies in microseconds, whatever the unit of the measure is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// Half took no longer.
    #[serde(rename = "p50")]
    pub p50_us: f64,
    /// Nine of ten took no longer.
    #[serde(rename = "p90")]
    pub p90_us: f64,
    /// 99 of 100 took no longer.
    #[serde(rename = "p99")]
    pub p99_us: f64,
    /// 999 of 1000 took no longer.
    #[serde(rename = "p999")]
    pub p999_us: f64,
    /// The largest.
    #[serde(rename = "max")]
    pub max_us: f64,
}

/// How two subjects compare in a case. See [`Ratio`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatioLine {
    /// What was done: `hop`.
    pub case: String,
    /// Whose figure is divided.
    pub of: String,
    /// By whose.
    pub to: String,
    /// With what.
    #[serde(default)]
    pub parameters: Parameters,
    /// The median of the ratios of the rounds.
    pub median: f64,
    /// The smallest ratio of a round.
    pub min: f64,
    /// The largest ratio of a round.
    pub max: f64,
    /// What the median is to reach, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
    /// Whether it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
}

/// Why a line cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is no JSON, or lacks something.
    #[error("this is no line of a record: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It was written by a version that writes something else.
    #[error("schema {found} is not known; schema {} is", SCHEMA)]
    UnknownSchema {
        /// What it names as its schema.
        found: String,
    },
    /// A figure is infinite or no number; JSON has neither.
    #[error("`{field}` is not a finite number")]
    NotFinite {
        /// Where it stands.
        field: &'static str,
    },
}

/// What is looked at before the rest, which another schema may have changed.
#[derive(Deserialize)]
struct Probe {
    record: String,
    schema: Option<Value>,
}

impl Line {
    /// The line as text, its end included.
    ///
    /// # Errors
    /// [`RecordError::NotFinite`] when a figure is infinite or no number:
    /// JSON would make it `null`, and nobody could read it back.
    pub fn to_ndjson(&self) -> Result<String, RecordError> {
        if let Some((field, _)) = self.figures().into_iter().find(|(_, f)| !f.is_finite()) {
            return Err(RecordError::NotFinite { field });
        }
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// Reads a line, with its end or without.
    ///
    /// # Errors
    /// [`RecordError::UnknownSchema`] when it is the head of another schema,
    /// [`RecordError::Malformed`] when it is no line of a record at all.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let probe: Probe = serde_json::from_str(text)?;
        match probe.schema {
            Some(schema) if probe.record == "head" && schema != SCHEMA => {
                Err(RecordError::UnknownSchema { found: schema.to_string() })
            }
            _ => Ok(serde_json::from_str(text)?),
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Head(head) => vec![("load1", head.host.load1)],
            Self::Measure(measure) => {
                let rounds = measure.rounds.iter().map(|figure| ("rounds", *figure));
                let latency = measure.latency.iter().flat_map(Latency::figures);
                rounds.chain([("median", measure.median)]).chain(latency).collect()
            }
            Self::Ratio(ratio) => {
                vec![("median", ratio.median), ("min", ratio.min), ("max", ratio.max)]
            }
        }
    }
}

impl Measure {
    /// A measure of at least one round, without parameters and latencies;
    /// `None` of no round.
    pub fn of(case: &str, subject: &str, unit: &str, rounds: Vec<f64>) -> Option<Self> {
        Some(Self {
            case: case.to_owned(),
            subject: subject.to_owned(),
            parameters: Parameters::new(),
            unit: unit.to_owned(),
            median: median(&rounds)?,
            rounds,
            latency: None,
        })
    }
}

impl Latency {
    fn figures(&self) -> [(&'static str, f64); 5] {
        [
            ("p50", self.p50_us),
            ("p90", self.p90_us),
            ("p99", self.p99_us),
            ("p999", self.p999_us),
            ("max", self.max_us),
        ]
    }
}

impl From<Percentiles> for Latency {
    fn from(figures: Percentiles) -> Self {
        let us = |latency: Duration| latency.as_nanos() as f64 / 1e3;
        Self {
            count: figures.count,
            p50_us: us(figures.p50),
            p90_us: us(figures.p90),
            p99_us: us(figures.p99),
            p999_us: us(figures.p999),
            max_us: us(figures.max),
        }
    }
}

impl RatioLine {
    /// A line about a ratio, without parameters, held against a goal if there
    /// is one.
    pub fn of(case: &str, of: &str, to: &str, ratio: &Ratio, goal: Option<Goal>) -> Self {
        Self {
            case: case.to_owned(),
            of: of.to_owned(),
            to: to.to_owned(),
            parameters: Parameters::new(),
            median: ratio.median,
            min: ratio.min,
            max: ratio.max,
            goal,
            met: goal.map(|goal| ratio.verdict(goal).met),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"record":"head","schema":1,"tool":"hop-bench","version":"0.1.0","started":"2026-01-02T03:04:05Z","host":{"cpus":2,"kernel":"6.8.0","cpu":"some","load1":0.5},"seed":1}"#;
    const MEASURE: &str = r#"{"record":"measure","case":"hop","subject":"ours","parameters":{"hops":4},"unit":"us","rounds":[3.0,1.0,2.0],"median":2.0,"latency":{"count":9,"p50":1.5,"p90":2.0,"p99":3.0,"p999":4.0,"max":5.0}}"#;
    const RATIO: &str = r#"{"record":"ratio","case":"hop","of":"ours","to":"bare","parameters":{},"median":1.25,"min":1.0,"max":2.0,"goal":"<=1.5","met":true}"#;

    fn measure() -> Measure {
        Measure::of("hop", "ours", "us", vec![3.0, 1.0, 2.0]).expect("rounds")
    }

    #[test]
    fn lines_are_written_as_they_are_documented() {
        for text in [HEAD, MEASURE, RATIO] {
            let line = Line::parse(text).expect("it reads");
            assert_eq!(line.to_ndjson().expect("it writes"), format!("{text}\n"));
        }
    }

    #[test]
    fn what_is_made_here_is_what_is_documented() {
        let mut made = measure();
        made.parameters.insert("hops".to_owned(), 4.into());
        let us = Duration::from_micros;
        made.latency = Some(Latency::from(Percentiles {
            count: 9,
            p50: Duration::from_nanos(1500),
            p90: us(2),
            p99: us(3),
            p999: us(4),
            max: us(5),
            ..Percentiles::default()
        }));
        assert_eq!(Line::parse(MEASURE).expect("it reads"), Line::Measure(made));
        let ratio = Ratio { median: 1.25, min: 1.0, max: 2.0, rounds: 3 };
        let made = RatioLine::of("hop", "ours", "bare", &ratio, Some(Goal::AtMost(1.5)));
        assert_eq!(Line::parse(RATIO).expect("it reads"), Line::Ratio(made));
    }

    #[test]
    fn fields_that_are_not_known_are_passed_over() {
        for text in [HEAD, MEASURE, RATIO] {
            let more = text.replacen('{', r#"{"later":{"a":[1]},"#, 1) + "\n";
            let (more, plain) = (Line::parse(&more), Line::parse(text));
            assert_eq!(more.expect("it reads"), plain.expect("it reads"));
        }
        let schema = MEASURE.replacen('{', r#"{"schema":"of a measure","#, 1);
        assert!(Line::parse(&schema).is_ok(), "only a head has one");
        let inside = HEAD.replace(r#""cpus":2"#, r#""cpus":2,"ram_bytes":1"#);
        assert!(Line::parse(&inside).is_ok());
    }

    #[test]
    fn another_schema_is_refused_even_if_it_has_other_fields() {
        for text in [HEAD.replace(r#""schema":1"#, r#""schema":2"#), short_head(2)] {
            let error = Line::parse(&text).expect_err("it is another schema");
            assert!(matches!(error, RecordError::UnknownSchema { .. }), "{error}");
            assert_eq!(error.to_string(), "schema 2 is not known; schema 1 is");
        }
    }

    fn short_head(schema: u64) -> String {
        format!(r#"{{"record":"head","schema":{schema}}}"#)
    }

    #[test]
    fn what_is_no_line_is_refused() {
        let goal = RATIO.replace("<=1.5", "soon");
        let unknown = MEASURE.replace("measure", "rumour");
        for text in ["", "{}", "[1]", "null", &short_head(1), &goal, &unknown, &MEASURE[..40]] {
            let error = Line::parse(text).expect_err("it is no line");
            assert!(matches!(error, RecordError::Malformed(_)), "{text}: {error}");
        }
    }

    #[test]
    fn a_figure_that_json_cannot_hold_is_refused() {
        let mut line = measure();
        line.rounds[1] = f64::NAN;
        let error = Line::Measure(line).to_ndjson().expect_err("it is no number");
        assert!(matches!(error, RecordError::NotFinite { field: "rounds" }), "{error}");
        assert_eq!(Measure::of("hop", "ours", "us", Vec::new()), None);
    }
}
