//! Puts checks into wasm-bindgen's code, so that errors name arguments and objects as JavaScript has them.
//!
//! Without them a freed object is a "null pointer passed to rust", and an argument of another class is told as "expected
//! instance of Device", not by its name. What returns a promise rejects it instead of throwing.

use anyhow::{Result, ensure};

/// What stands in place of wasm-bindgen's check of a class, and a check that an object was not freed.
const CHECKS: &str = r#"function _assertClass(value, type, name, argument) {
    if (!(value instanceof type)) throw new TypeError(`${argument}: expected ${_one(name)}, got ${_describe(value)}`);
    if (value.__wbg_ptr === 0) throw new Error(`${argument}: this ${name} was freed`);
}

function _alive(object, type, name) {
    if (!(object instanceof type)) throw new TypeError(`this: expected ${_one(name)}, got ${_describe(object)}`);
    if (object.__wbg_ptr === 0) throw new Error(`this ${name} was freed`);
    return object.__wbg_ptr;
}

function _one(name) {
    return `${/^([AEIOU]|Rnn)/.test(name) ? "an" : "a"} ${name}`;
}

function _describe(value) {
    if (value === null || value === undefined || typeof value === "number" || typeof value === "boolean") return `${value}`;
    if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
    return typeof value === "object" ? `an object (${value.constructor?.name ?? "of no class"})` : `a ${typeof value}`;
}
"#;

/// What is called before the WebAssembly is there.
const MISSING: &str = r#"const _missing = new Proxy({}, {
    get() { throw new Error("wgrnn is not loaded yet: await init() first"); },
});
let wasmModule, wasmInstance, wasm = _missing;
"#;

/// The script with these checks. Fails where it is written in another way than wasm-bindgen has written it so far.
pub fn in_javascript(script: &str) -> Result<String> {
    let mut written = String::with_capacity(script.len() + 4096);
    let (mut class, mut promised, mut open) = (String::new(), false, None);
    let (mut objects, mut arguments, mut loads, mut skipping) = (0, 0, 0, false);
    let (mut replaced, mut begun) = (false, false);
    for line in script.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if skipping {
            skipping = line != "}";
            continue;
        }
        if line.starts_with("function _assertClass(") {
            written += CHECKS;
            (skipping, replaced) = (true, true);
            continue;
        }
        if line == "let wasmModule, wasmInstance, wasm;" {
            written += MISSING;
            begun = true;
            continue;
        }
        if let Some(rest) = line.strip_prefix("export class ") {
            class = rest.trim_end_matches(" {").to_owned();
        } else if line == "}" && open.is_none() {
            class.clear();
        }
        if line.contains("* @returns {Promise<") {
            promised = true;
        }
        if open.as_deref() == Some(indent) && line.trim() == "}" {
            written += &format!(
                "{indent}    }} catch (error) {{\n{indent}        return Promise.reject(error);\n{indent}    }}\n"
            );
            open = None;
        }
        let mut line = line.to_owned();
        let own = line.trim_start().to_owned();
        // Of `free` the object is being freed, and may have been before.
        if !class.is_empty() && own.contains("wasm.") && own.contains("(this.__wbg_ptr") {
            line = line.replace("(this.__wbg_ptr", &format!("(_alive(this, {class}, \"{class}\")"));
            objects += 1;
        }
        if own == "if (wasm !== undefined) return wasm;" {
            line = format!("{indent}if (wasm !== _missing) return wasm;");
            loads += 1;
        }
        if own.starts_with("wasm.__wbg_") && own.ends_with("_free(ptr, 0);") {
            // Twice is once.
            line = format!("{indent}if (ptr !== 0) {own}");
        }
        if let Some(rest) = own.strip_prefix("_assertClass(")
            && let Some((argument, of)) = rest.trim_end_matches(");").split_once(", ")
        {
            line = format!("{indent}_assertClass({argument}, {of}, \"{of}\", \"{argument}\");");
            arguments += 1;
        }
        let begins = line.ends_with(") {") && (indent.is_empty() || !class.is_empty() && indent.len() == 4);
        written += &line;
        written.push('\n');
        if begins && promised && open.is_none() {
            written += &format!("{indent}    try {{\n");
            open = Some(indent.to_owned());
        }
        if begins {
            promised = false;
        }
    }
    let known = replaced && begun && objects > 10 && arguments > 5 && loads == 2;
    ensure!(known, "wasm-bindgen writes its script in another way now");
    let missed = written.lines().find(|line| line.contains("wasm.") && line.contains("this.__wbg_ptr"));
    ensure!(missed.is_none(), "an object is passed on without a check: {}", missed.unwrap_or_default());
    ensure!(open.is_none() && !skipping, "a function of wasm-bindgen's script has no end");
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_another_kind_are_refused() {
        assert!(in_javascript("export class Device {\n}\n").is_err());
    }
}
