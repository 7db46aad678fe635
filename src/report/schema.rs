//! The JSON Schemas (draft 2020-12) of everything that programs may read, as `portassay schema`
//! prints them. The tests hold what is written against them.

/// The descriptor of one schema.
#[derive(Debug)]
pub struct Schema {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it describes, in a few words.
    pub help: &'static str,
    /// The schema document.
    pub text: &'static str,
}

/// Every schema, in the order in which the help lists them.
pub const SCHEMAS: &[Schema] = &[
    Schema {
        name: "report",
        help: "the report of check --format json",
        text: include_str!("schema/report.json"),
    },
    Schema {
        name: "finding",
        help: "a finding's line of check and watch --format jsonl",
        text: include_str!("schema/finding.json"),
    },
    Schema {
        name: "summary",
        help: "the last line of check --format jsonl",
        text: include_str!("schema/summary.json"),
    },
    Schema {
        name: "flow",
        help: "a line of flows --format jsonl",
        text: include_str!("schema/flow.json"),
    },
    Schema {
        name: "rules",
        help: "the table of rules --format json",
        text: include_str!("schema/rules.json"),
    },
    Schema {
        name: "plan",
        help: "what plan --format json writes",
        text: include_str!("schema/plan.json"),
    },
    Schema {
        name: "ipsec",
        help: "the answer of ipsec --format json",
        text: include_str!("schema/ipsec.json"),
    },
];

/// The schema of that name; the plurals `flows`, `findings` and `reports` are understood too.
pub fn find(name: &str) -> Option<&'static Schema> {
    SCHEMAS.iter().find(|schema| schema.name == name || name.strip_suffix('s') == Some(schema.name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::decode::Transport;
    use crate::identify::{Confidence, Identification};
    use crate::report::flows::{self, FlowRow};
    use crate::report::specimen::{empty, failing, first_contact, flow, hostile, learned, written};
    use crate::report::{FORMATS, Report, Style, finding_line, ipsec, plan, rules};

    /// Compares a value with a schema: the keywords that our schemas use, and one rule more, that
    /// every key must be described. Any other keyword is a failure of the test itself.
    fn check(value: &Value, schema: &Value, root: &Value, at: &str, wrong: &mut Vec<String>) {
        let Some(keywords) = schema.as_object() else {
            wrong.push(format!("{at}: the schema is not an object"));
            return;
        };
        for (keyword, operand) in keywords {
            match keyword.as_str() {
                "$ref" => {
                    let pointer = operand.as_str().unwrap_or_default().trim_start_matches('#');
                    match root.pointer(pointer) {
                        Some(target) => check(value, target, root, at, wrong),
                        None => wrong.push(format!("{at}: no {operand}")),
                    }
                }
                "anyOf" => {
                    let fits = |option: &Value| {
                        let mut faults = Vec::new();
                        check(value, option, root, at, &mut faults);
                        faults.is_empty()
                    };
                    if !operand.as_array().is_some_and(|all| all.iter().any(fits)) {
                        wrong.push(format!("{at}: none of {operand}"));
                    }
                }
                "type" => {
                    let names = match operand {
                        Value::Array(names) => names.clone(),
                        one => vec![one.clone()],
                    };
                    if !names.iter().any(|name| is_a(value, name.as_str().unwrap_or_default())) {
                        wrong.push(format!("{at}: {value} is not {operand}"));
                    }
                }
                "enum" if !operand.as_array().is_some_and(|all| all.contains(value)) => {
                    wrong.push(format!("{at}: {value} is not in {operand}"));
                }
                "const" if operand != value => {
                    wrong.push(format!("{at}: {value} is not {operand}"));
                }
                "minimum" if value.as_f64() < operand.as_f64() && value.is_number() => {
                    wrong.push(format!("{at}: {value} is under {operand}"));
                }
                "maximum" if value.as_f64() > operand.as_f64() && value.is_number() => {
                    wrong.push(format!("{at}: {value} is over {operand}"));
                }
                // Words about the schema, and comparisons that came out well. Patterns are for
                // other validators: the formats behind them have tests of their own.
                "$schema" | "$defs" | "title" | "description" | "enum" | "const" | "minimum"
                | "maximum" | "pattern" => {}
                "required" => {
                    for key in operand.as_array().into_iter().flatten() {
                        let key = key.as_str().unwrap_or_default();
                        if value.is_object() && value.get(key).is_none() {
                            wrong.push(format!("{at}: {key} is missing"));
                        }
                    }
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        check(item, operand, root, &format!("{at}/{index}"), wrong);
                    }
                }
                "properties" => {
                    for (key, item) in value.as_object().into_iter().flatten() {
                        let at = format!("{at}/{key}");
                        match operand.get(key) {
                            Some(property) => check(item, property, root, &at, wrong),
                            None => wrong.push(format!("{at}: not described")),
                        }
                    }
                }
                "additionalProperties" => {
                    for (key, item) in value.as_object().into_iter().flatten() {
                        check(item, operand, root, &format!("{at}/{key}"), wrong);
                    }
                }
                other => wrong.push(format!("{at}: the keyword {other} is not checked")),
            }
        }
    }

    fn is_a(value: &Value, name: &str) -> bool {
        match name {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        }
    }

    fn faults(name: &str, text: &str) -> Vec<String> {
        let schema: Value =
            serde_json::from_str(find(name).expect("a schema").text).expect("schemas are JSON");
        let value: Value = serde_json::from_str(text).expect("reports are JSON");
        let mut wrong = Vec::new();
        check(&value, &schema, &schema, "", &mut wrong);
        wrong
    }

    fn in_format(name: &str, report: &Report) -> String {
        let format = FORMATS.iter().find(|format| format.name == name);
        written(format.expect("a format"), report, None)
    }

    #[test]
    fn reports_are_as_described() {
        for report in [failing(), first_contact(), empty(), hostile()] {
            assert_eq!(faults("report", &in_format("json", &report)), Vec::<String>::new());
        }
    }

    #[test]
    fn lines_are_as_described() {
        for report in [failing(), first_contact(), empty(), hostile()] {
            let text = in_format("jsonl", &report);
            let lines: Vec<&str> = text.lines().collect();
            let (summary, findings) = lines.split_last().expect("a summary");
            assert_eq!(faults("summary", summary), Vec::<String>::new());
            assert_eq!(findings.len(), report.findings().len());
            for (line, finding) in findings.iter().zip(report.findings()) {
                assert_eq!(faults("finding", line), Vec::<String>::new());
                assert_eq!(*line, finding_line(finding));
            }
        }
    }

    #[test]
    fn flows_are_as_described() {
        let tcp = flow(Transport::TCP, ("10.0.0.1", 40000), ("10.0.0.2", 5061));
        let mut esp = flow(Transport::ESP, ("fe80::1", 0), ("fe80::2", 0));
        esp.spi = Some(u32::MAX);
        let known = Identification {
            protocol: Some("tls"),
            confidence: Some(Confidence::High),
            facts: [("sni", "fe01".to_string())].into(),
            ..Identification::default()
        };
        for identification in [&known, &Identification::default()] {
            for flow in [&tcp, &esp] {
                let learned = learned();
                let row = FlowRow {
                    flow,
                    identification,
                    verdict: None,
                    expectation: None,
                    announced: identification.protocol.is_some().then_some(&learned),
                };
                let format = flows::FORMATS.iter().find(|f| f.name == "jsonl");
                let mut out = Vec::new();
                let style = Style { color: false, width: None };
                (format.expect("a format").write)(&mut [row].into_iter(), style, &mut out)
                    .expect("memory takes everything");
                let text = String::from_utf8(out).expect("UTF-8");
                assert_eq!(faults("flow", &text), Vec::<String>::new());
            }
        }
    }

    #[test]
    fn the_table_of_rules_is_as_described() {
        let format = rules::FORMATS.iter().find(|f| f.name == "json");
        let mut out = Vec::new();
        let style = Style { color: false, width: None };
        (format.expect("a format").write)(&[rules::RuleRow::default()], style, &mut out)
            .expect("memory takes everything");
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(faults("rules", &text), Vec::<String>::new());
    }

    #[test]
    fn plans_are_as_described() {
        let site = crate::policy::Layer {
            layer: "site".into(),
            file: "site".into(),
            text: "[[host]]\nname = \"m\"\naddresses = [\"10.0.0.1\"]\nroles = [\"mediation\", \"front-end\"]\n\
                   [[network]]\nname = \"u\"\nprefixes = [\"10.1.0.0/16\"]\nroles = [\"client\"]\n"
                .into(),
        };
        let layers = crate::policy::builtin::layers();
        let policy = crate::policy::Policy::compile(
            &layers,
            Some(&site),
            crate::policy::Profile::default(),
            false,
        )
        .expect("a policy");
        for asked in [true, false] {
            let plan = plan::Plan {
                policy: &policy,
                openings: asked.then(|| policy.openings()),
                exempt: asked.then(|| crate::findings::remedy::exempt(&policy)),
            };
            let format = plan::FORMATS.iter().find(|f| f.name == "json");
            let mut out = Vec::new();
            let style = Style { color: false, width: None };
            (format.expect("a format").write)(&plan, style, &mut out)
                .expect("memory takes everything");
            let text = String::from_utf8(out).expect("UTF-8");
            assert_eq!(faults("plan", &text), Vec::<String>::new());
        }
    }

    #[test]
    fn the_answer_about_exports_is_as_described() {
        let text = ipsec::tests::written("json", &ipsec::tests::specimen(), None);
        assert_eq!(faults("ipsec", &text), Vec::<String>::new());
    }

    #[test]
    fn the_check_sees_faults() {
        let good: Value = serde_json::from_str(&in_format("json", &failing())).expect("JSON");
        for (pointer, bad) in [
            ("/schema", json!("portassay.report/2")),
            ("/verdict", json!("maybe")),
            ("/exit_code", json!(-1)),
            ("/captures/0/first", json!(5)),
            ("/captures/0/undecoded/arp", json!("many")),
            ("/flows/by_class/confirmed", json!({"flows": 1})),
            ("/findings/0/severity", json!("grave")),
            ("/findings/0/responder/ports/0", json!(70000)),
            ("/findings/0/initiator", json!({"who": 1})),
        ] {
            let mut value = good.clone();
            *value.pointer_mut(pointer).expect(pointer) = bad;
            assert_ne!(faults("report", &value.to_string()), Vec::<String>::new(), "{pointer}");
        }
    }

    #[test]
    fn schemas_name_themselves_and_are_found() {
        for schema in SCHEMAS {
            let value: Value = serde_json::from_str(schema.text).expect("JSON");
            let title = format!("portassay.{}/1", schema.name);
            assert_eq!(value["title"], title.as_str());
            assert_eq!(value["properties"]["schema"]["const"], title.as_str());
        }
        assert_eq!(find("flows").map(|s| s.name), Some("flow"));
        assert_eq!(find("rules").map(|s| s.name), Some("rules"));
        assert!(find("rule").is_none());
    }
}
