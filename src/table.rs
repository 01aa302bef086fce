//! Columns for people: as wide as their widest cell, two blanks apart.

use tidegate_runtime::quote::printable;

/// Lines of a table; the last column is not padded.
pub(crate) fn lines(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    // Escapes count as what they take.
    let shown = |row: &Vec<String>| row.iter().map(|cell| printable(cell).into_owned()).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = rows.iter().map(shown).collect();
    let all = || std::iter::once(&header).chain(&rows);
    let width =
        |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..header.len()).filter_map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "12".to_owned()], vec!["longer".to_owned(), "3".to_owned()]];
        assert_eq!(lines(&["name", "n"], &rows), ["name    n", "a       12", "longer  3"]);
    }
}
