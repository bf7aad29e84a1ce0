//! The schema of the table, and the writer of its files.
//!
//! Columns are compressed with Zstandard. Times are in UTC. `metrics` is a map from text to double.

use std::mem::take;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::row::Row;
use crate::ArchiveError;

const SCHEMA: &str = "
message reading {
    required binary reading_id (UTF8);
    required binary batch (UTF8);
    required int32 line;
    optional int64 received (TIMESTAMP(MILLIS,true));
    optional int64 event_time (TIMESTAMP(MILLIS,true));
    optional binary device_id (UTF8);
    optional binary device_type (UTF8);
    optional binary display (UTF8);
    optional binary zone (UTF8);
    optional binary project (UTF8);
    optional binary property (UTF8);
    optional binary region (UTF8);
    required group metrics (MAP) {
        repeated group key_value {
            required binary key (UTF8);
            required double value;
        }
    }
    required binary raw (UTF8);
}";

/// Most rows of a group. Readers skip whole groups.
const MAX_ROWS: usize = 1 << 17;
/// The same level as for objects.
const COMPRESSION_LEVEL: i32 = 3;

impl From<ParquetError> for ArchiveError {
    fn from(error: ParquetError) -> Self {
        Self::not_written("a Parquet file in memory", error)
    }
}

/// A Parquet file in memory that rows are added to.
pub(super) struct TableWriter {
    file: SerializedFileWriter<Vec<u8>>,
    /// The rows of the next group.
    rows: Vec<Row>,
    /// Bytes of text in these rows, and the most before they are written.
    text: usize,
    max_text: usize,
    count: u64,
}

type RowGroup<'f> = SerializedRowGroupWriter<'f, Vec<u8>>;

impl TableWriter {
    /// A file whose groups have about `max_text` bytes of text.
    pub(super) fn new(max_text: usize) -> Result<Self> {
        let column = |name: &str| ColumnPath::from(name);
        let properties = WriterProperties::builder()
            .set_created_by(concat!("smartclean-push version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(COMPRESSION_LEVEL)?))
            // These values are unique: neither a dictionary nor statistics help a reader.
            .set_column_dictionary_enabled(column("reading_id"), false)
            .set_column_statistics_enabled(column("reading_id"), EnabledStatistics::None)
            .set_column_dictionary_enabled(column("raw"), false)
            .set_column_statistics_enabled(column("raw"), EnabledStatistics::None)
            .build();
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
        Ok(Self { file, rows: Vec::new(), text: 0, max_text, count: 0 })
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: Row) -> Result<()> {
        self.text += row.raw.len();
        self.count += 1;
        self.rows.push(row);
        if self.text >= self.max_text || self.rows.len() >= MAX_ROWS { self.write_group() } else { Ok(()) }
    }

    /// The number of rows.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Bytes that are written, without the rows of the next group.
    pub(super) fn size(&self) -> usize {
        self.file.bytes_written()
    }

    /// Writes the last group, and returns the file.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        self.write_group()?;
        self.file.into_inner()
    }

    fn write_group(&mut self) -> Result<()> {
        self.text = 0;
        let mut rows = take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        required::<ByteArrayType>(&mut group, rows.iter_mut().map(|row| text(&mut row.reading_id)))?;
        required::<ByteArrayType>(&mut group, rows.iter_mut().map(|row| text(&mut row.batch)))?;
        required::<Int32Type>(&mut group, rows.iter().map(|row| row.line))?;
        optional::<Int64Type>(&mut group, rows.iter().map(|row| row.received))?;
        optional::<Int64Type>(&mut group, rows.iter().map(|row| row.event_time))?;
        for column in 0..rows[0].texts.len() {
            optional::<ByteArrayType>(&mut group, rows.iter_mut().map(|row| row.texts[column].as_mut().map(text)))?;
        }
        metrics(&mut group, &mut rows)?;
        required::<ByteArrayType>(&mut group, rows.iter_mut().map(|row| text(&mut row.raw)))?;
        group.close().map(drop)
    }
}

/// Takes the text without copying it.
fn text(text: &mut String) -> ByteArray {
    ByteArray::from(take(text).into_bytes())
}

fn required<T: DataType>(group: &mut RowGroup<'_>, values: impl Iterator<Item = T::T>) -> Result<()> {
    column::<T>(group, &values.collect::<Vec<_>>(), None, None)
}

fn optional<T: DataType>(group: &mut RowGroup<'_>, cells: impl Iterator<Item = Option<T::T>>) -> Result<()> {
    let mut values = Vec::new();
    let mut definitions = Vec::new();
    for cell in cells {
        definitions.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    column::<T>(group, &values, Some(&definitions), None)
}

fn metrics(group: &mut RowGroup<'_>, rows: &mut [Row]) -> Result<()> {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let (mut definitions, mut repetitions) = (Vec::new(), Vec::new());
    for row in rows {
        if row.metrics.is_empty() {
            definitions.push(0);
            repetitions.push(0);
        }
        for (index, (key, value)) in row.metrics.iter_mut().enumerate() {
            definitions.push(1);
            repetitions.push(i16::from(index > 0));
            keys.push(text(key));
            values.push(*value);
        }
    }
    column::<ByteArrayType>(group, &keys, Some(&definitions), Some(&repetitions))?;
    column::<DoubleType>(group, &values, Some(&definitions), Some(&repetitions))
}

fn column<T: DataType>(
    group: &mut RowGroup<'_>,
    values: &[T::T],
    definitions: Option<&[i16]>,
    repetitions: Option<&[i16]>,
) -> Result<()> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("the table has fewer columns than a row".to_owned()));
    };
    column.typed::<T>().write_batch(values, definitions, repetitions)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;

    fn texts(count: i32) -> Vec<String> {
        let text = |line| match line % 4 {
            0 => format!(r#"{{"DevType":"UM","DEVID":"d{line}","unixT":1654063185,"v":{{"count":{line},"b":2.5}}}}"#),
            1 => format!("no reading {line}"),
            2 => r#"{"DevType":"ACME#X","Display":"Toilet 厕所","Region":"Asia/Singapore"}"#.to_owned(),
            _ => "{}".to_owned(),
        };
        (0..count).map(text).collect()
    }

    fn written(texts: &[String], max_text: usize) -> SerializedFileReader<bytes::Bytes> {
        let mut writer = TableWriter::new(max_text).unwrap();
        for (line, text) in (0..).zip(texts) {
            writer.push(Row::new(text, "batch", line, "2026-11-23T10:00:00Z".parse().ok())).unwrap();
        }
        SerializedFileReader::new(writer.finish().unwrap().into()).unwrap()
    }

    #[test]
    fn rows_are_read_back_in_order_for_any_size_of_groups() {
        for max_text in [1, 300, usize::MAX] {
            let rows =
                written(&texts(50), max_text).get_row_iter(None).unwrap().map(Result::unwrap).collect::<Vec<_>>();
            let read = rows.iter().map(|row| (row.get_int(2).unwrap(), row.get_string(13).unwrap().clone()));
            assert!(read.eq((0..).zip(texts(50))));
        }
    }

    #[test]
    fn every_field_is_in_its_column() {
        let full = r#"{"DevType":"TH","DEVID":"d","Display":"n","InsID":"z","PID":"p","PropId":"o","Region":"r","unixT":1654063185,"v":{"t":2,"h":3}}"#;
        let reader = written(&[full.to_owned(), "no reading".to_owned()], usize::MAX);
        let rows: Vec<String> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        let id = |text: &str| domain::digest::Digest::of(text.as_bytes());
        let expected = [
            format!(
                "{{reading_id: \"{}\", batch: \"batch\", line: 0, received: 2026-11-23 10:00:00.000 +00:00, event_time: \
                 2022-06-01 05:59:45.000 +00:00, device_id: \"d\", device_type: \"TH\", display: \"n\", zone: \"z\", \
                 project: \"p\", property: \"o\", region: \"r\", metrics: {{\"t\" -> 2.0, \"h\" -> 3.0}}, raw: \"{full}\"}}",
                id(full)
            ),
            format!(
                "{{reading_id: \"{}\", batch: \"batch\", line: 1, received: 2026-11-23 10:00:00.000 +00:00, event_time: \
                 null, device_id: null, device_type: null, display: null, zone: null, project: null, property: null, \
                 region: null, metrics: {{}}, raw: \"no reading\"}}",
                id("no reading")
            ),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_group_is_written_when_it_has_enough_text() {
        assert_eq!(written(&texts(50), usize::MAX).num_row_groups(), 1);
        assert_eq!(written(&texts(50), 1).num_row_groups(), 50);
    }
}
