//! The table's form, and its rows written and read.
//!
//! Columns are compressed with Zstandard. Times are in UTC. Names of columns are those of [`Row`]'s members; `metrics` is a
//! map from text to double.

use std::mem::take;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::record::{Field, RowAccessor};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

use super::row::Row;

const FORM: &str = "
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

/// The column of the texts alone.
const TEXTS: &str = "message reading { required binary raw (UTF8); }";
/// Most rows of a group, whatever their size: readers skip whole groups.
const MOST_ROWS: usize = 1 << 17;
/// As for the objects themselves.
const COMPRESSION_LEVEL: i32 = 3;

fn form() -> Result<TypePtr> {
    parse_message_type(FORM).map(TypePtr::new)
}

/// A Parquet file of our form.
pub(super) struct Table {
    reader: SerializedFileReader<Bytes>,
    /// The group of rows whose texts were read last, and those.
    last: Option<(usize, Vec<String>)>,
}

impl Table {
    /// Opens a file whose bytes are known to be those that were written.
    pub(super) fn open(bytes: Bytes) -> Result<Self> {
        let reader = SerializedFileReader::new(bytes)?;
        let is_ours = reader.metadata().file_metadata().schema() == form()?.as_ref();
        if is_ours {
            Ok(Self { reader, last: None })
        } else {
            Err(ParquetError::General("its columns are others".to_owned()))
        }
    }

    /// All rows.
    pub(super) fn rows(&self) -> Result<impl Iterator<Item = Result<Row>>> {
        Ok(self.reader.get_row_iter(None)?.map(|record| record.map(row)))
    }

    /// The texts of these rows, each with a line feed; fewer if there are fewer rows. The group of rows that was read last is
    /// not read again.
    pub(super) fn text(&mut self, rows: Range<u64>) -> Result<String> {
        let mut text = String::new();
        let mut start = 0;
        for group in 0..self.reader.num_row_groups() {
            let end = start + u64::try_from(self.reader.metadata().row_group(group).num_rows()).unwrap_or(0);
            if rows.start < end && start < rows.end {
                for (_, line) in (start..).zip(self.texts(group)?).filter(|(row, _)| rows.contains(row)) {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            start = end;
        }
        Ok(text)
    }

    fn texts(&mut self, group: usize) -> Result<&[String]> {
        let texts = match take(&mut self.last) {
            Some((last, texts)) if last == group => texts,
            _ => {
                let group = self.reader.get_row_group(group)?;
                let rows = group.get_row_iter(Some(parse_message_type(TEXTS)?))?;
                rows.map(|row| row?.get_string(0).cloned()).collect::<Result<_>>()?
            }
        };
        Ok(&self.last.insert((group, texts)).1)
    }
}

/// A row as the Parquet library gives it.
fn row(record: parquet::record::Row) -> Row {
    let mut row = Row::default();
    for (name, field) in record.into_columns() {
        match (name.as_str(), field) {
            ("reading_id", Field::Str(id)) => row.reading_id = id,
            ("batch", Field::Str(batch)) => row.batch = batch,
            ("line", Field::Int(line)) => row.line = line,
            ("received", Field::TimestampMillis(at)) => row.received = Some(at),
            ("event_time", Field::TimestampMillis(at)) => row.event_time = Some(at),
            ("metrics", Field::MapInternal(metrics)) => {
                row.metrics = metrics.entries().iter().filter_map(metric).collect()
            }
            ("raw", Field::Str(raw)) => row.raw = raw,
            (name, Field::Str(text)) => {
                let column = NAMES.iter().find(|(known, _)| *known == name);
                if let Some((_, member)) = column {
                    *member(&mut row) = Some(text);
                }
            }
            // A cell without a value.
            _ => {}
        }
    }
    row
}

fn metric((name, value): &(Field, Field)) -> Option<(String, f64)> {
    match (name, value) {
        (Field::Str(name), Field::Double(value)) => Some((name.clone(), *value)),
        _ => None,
    }
}

/// A Parquet file in memory that rows are added to.
pub(super) struct TableWriter {
    file: SerializedFileWriter<Vec<u8>>,
    /// The rows of the group that is not written yet.
    rows: Vec<Row>,
    text: usize,
    most_text: usize,
    count: u64,
}

type Group<'f> = SerializedRowGroupWriter<'f, Vec<u8>>;

impl TableWriter {
    /// A file whose rows are written each time that `most_text` bytes of text have come together.
    pub(super) fn new(most_text: usize) -> Result<Self> {
        let column = |name: &str| ColumnPath::from(name);
        let properties = WriterProperties::builder()
            .set_created_by(concat!("smartclean-push version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(COMPRESSION_LEVEL)?))
            // Each differs from all others, so that neither a dictionary nor a range of values helps anybody.
            .set_column_dictionary_enabled(column("reading_id"), false)
            .set_column_statistics_enabled(column("reading_id"), EnabledStatistics::None)
            .set_column_dictionary_enabled(column("raw"), false)
            .set_column_statistics_enabled(column("raw"), EnabledStatistics::None)
            .build();
        let file = SerializedFileWriter::new(Vec::new(), form()?, Arc::new(properties))?;
        Ok(Self { file, rows: Vec::new(), text: 0, most_text, count: 0 })
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: Row) -> Result<()> {
        self.text += row.raw.len();
        self.count += 1;
        self.rows.push(row);
        if self.text >= self.most_text || self.rows.len() >= MOST_ROWS { self.write_group() } else { Ok(()) }
    }

    /// How many rows were added.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// How large the file is so far, the rows of the last group not among it.
    pub(super) fn size(&self) -> usize {
        self.file.bytes_written()
    }

    /// The file.
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
        for (_, member) in NAMES {
            optional::<ByteArrayType>(&mut group, rows.iter_mut().map(|row| member(row).as_mut().map(text)))?;
        }
        metrics(&mut group, &mut rows)?;
        required::<ByteArrayType>(&mut group, rows.iter_mut().map(|row| text(&mut row.raw)))?;
        group.close().map(drop)
    }
}

/// The envelope's names, in the order of their columns.
const NAMES: [(&str, Member); 7] = [
    ("device_id", |row| &mut row.device_id),
    ("device_type", |row| &mut row.device_type),
    ("display", |row| &mut row.display),
    ("zone", |row| &mut row.zone),
    ("project", |row| &mut row.project),
    ("property", |row| &mut row.property),
    ("region", |row| &mut row.region),
];

/// A member of a row.
type Member = fn(&mut Row) -> &mut Option<String>;

/// The text, without a copy.
fn text(text: &mut String) -> ByteArray {
    ByteArray::from(Bytes::from(take(text)))
}

fn required<T: DataType>(group: &mut Group<'_>, values: impl Iterator<Item = T::T>) -> Result<()> {
    column::<T>(group, &values.collect::<Vec<_>>(), None, None)
}

fn optional<T: DataType>(group: &mut Group<'_>, cells: impl Iterator<Item = Option<T::T>>) -> Result<()> {
    let mut values = Vec::new();
    let mut definitions = Vec::new();
    for cell in cells {
        definitions.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    column::<T>(group, &values, Some(&definitions), None)
}

fn metrics(group: &mut Group<'_>, rows: &mut [Row]) -> Result<()> {
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
    group: &mut Group<'_>,
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
    use super::*;

    fn rows(count: i32) -> Vec<Row> {
        let text = |line| match line % 4 {
            0 => format!(r#"{{"DevType":"UM","DEVID":"d{line}","unixT":1654063185,"v":{{"count":{line},"b":2.5}}}}"#),
            1 => format!("no reading {line}"),
            2 => r#"{"DevType":"ACME#X","Display":"Toilet 厕所","Region":"Asia/Singapore"}"#.to_owned(),
            _ => "{}".to_owned(),
        };
        (0..count).map(|line| Row::of(&text(line), "b", line, None)).collect()
    }

    fn written(rows: &[Row], most_text: usize) -> Table {
        let mut writer = TableWriter::new(most_text).unwrap();
        rows.iter().for_each(|row| writer.push(row.clone()).unwrap());
        Table::open(writer.finish().unwrap().into()).unwrap()
    }

    #[test]
    fn rows_come_back_as_they_were() {
        for most_text in [1, 300, usize::MAX] {
            let mut table = written(&rows(50), most_text);
            assert_eq!(table.rows().unwrap().map(Result::unwrap).collect::<Vec<_>>(), rows(50));
            let texts = |range: std::ops::Range<usize>| -> String {
                rows(50)[range].iter().map(|row| format!("{}\n", row.raw)).collect()
            };
            assert_eq!(table.text(0..50).unwrap(), texts(0..50));
            assert_eq!(table.text(7..23).unwrap(), texts(7..23));
            assert_eq!(table.text(48..60).unwrap(), texts(48..50), "there are no more");
        }
    }

    #[test]
    fn text_is_written_some_at_a_time() {
        assert_eq!(written(&rows(50), usize::MAX).reader.num_row_groups(), 1);
        assert_eq!(written(&rows(50), 1).reader.num_row_groups(), 50);
    }

    #[test]
    fn another_table_is_refused() {
        use parquet::file::properties::WriterProperties;
        use parquet::file::writer::SerializedFileWriter;
        let other = parse_message_type("message reading { required int32 line; }").unwrap();
        let properties = WriterProperties::builder().build();
        let file = SerializedFileWriter::new(Vec::new(), TypePtr::new(other), properties.into()).unwrap();
        assert!(Table::open(file.into_inner().unwrap().into()).is_err());
        assert!(Table::open(b"no table".as_slice().into()).is_err());
    }
}
