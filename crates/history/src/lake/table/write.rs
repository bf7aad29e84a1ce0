//! Rows into a Parquet file.

use std::mem::take;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnPath;

use super::form;
use crate::lake::Row;

/// Most rows of a group, whatever their size: readers skip whole groups.
const MOST_ROWS: usize = 1 << 17;
/// As for the objects themselves.
const COMPRESSION_LEVEL: i32 = 3;

/// A Parquet file in memory that rows are added to.
pub(in crate::lake) struct TableWriter {
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
    pub(in crate::lake) fn new(most_text: usize) -> Result<Self> {
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
    pub(in crate::lake) fn push(&mut self, row: Row) -> Result<()> {
        self.text += row.raw.len();
        self.count += 1;
        self.rows.push(row);
        if self.text >= self.most_text || self.rows.len() >= MOST_ROWS { self.write_group() } else { Ok(()) }
    }

    /// How many rows were added.
    pub(in crate::lake) fn count(&self) -> u64 {
        self.count
    }

    /// How large the file is so far, the rows of the last group not among it.
    pub(in crate::lake) fn size(&self) -> usize {
        self.file.bytes_written()
    }

    /// The file.
    pub(in crate::lake) fn finish(mut self) -> Result<Vec<u8>> {
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
        for name in NAMES {
            optional::<ByteArrayType>(&mut group, rows.iter_mut().map(|row| name(row).as_mut().map(text)))?;
        }
        metrics(&mut group, &mut rows)?;
        required::<ByteArrayType>(&mut group, rows.iter_mut().map(|row| text(&mut row.raw)))?;
        group.close().map(drop)
    }
}

/// The envelope's names, in the order of their columns.
pub(super) const NAMES: [fn(&mut Row) -> &mut Option<String>; 7] = [
    |row| &mut row.device_id,
    |row| &mut row.device_type,
    |row| &mut row.display,
    |row| &mut row.zone,
    |row| &mut row.project,
    |row| &mut row.property,
    |row| &mut row.region,
];

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
