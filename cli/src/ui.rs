//! Standard output and standard error. Results go to the first, everything said to people to the second.

use std::io::{ErrorKind, Write};

use crate::failure::Failure;

/// Writes a result. That nobody reads on is no failure (`cooper images | head -1`).
pub fn print(text: &str) -> Result<(), Failure> {
    write(text.as_bytes())
}

/// Writes a result for programs.
pub fn json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

/// Writes results, one a line.
pub fn lines(lines: &[String]) -> Result<(), Failure> {
    print(&lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>())
}

/// Writes a result that is no text.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::user(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// Says one or more lines.
pub fn note(text: &str) {
    // There is nobody to tell if this fails.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Rows as columns of equal width, the first row being the heading; the last column is not padded.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|r| r.get(column))
            .map(|cell| console::measure_text_width(cell))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - console::measure_text_width(cell) + 3));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let rows = [["NAME", "SIZE"], ["caf\u{e9}-image", "1kB"]].map(|r| r.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "NAME         SIZE\ncaf\u{e9}-image   1kB\n");
    }
}
