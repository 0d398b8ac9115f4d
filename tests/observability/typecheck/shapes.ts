// What the parts of a dashboard's file may look like. Grafana's own schema says it; what is added here is said by its
// source: the queries of its data sources are not part of the schema.
import type * as G from '@grafana/schema';
import type * as BarChart from '@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen';
import type * as BarGauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as Gauge from '@grafana/schema/dist/esm/raw/composable/gauge/panelcfg/x/GaugePanelCfg_types.gen';
import type * as Heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as Histogram from '@grafana/schema/dist/esm/raw/composable/histogram/panelcfg/x/HistogramPanelCfg_types.gen';
import type * as Stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as StateTimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as StatusHistory from '@grafana/schema/dist/esm/raw/composable/statushistory/panelcfg/x/StatusHistoryPanelCfg_types.gen';
import type * as Table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as Text from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type * as TimeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has no enums: where the schema has one, its values are written.
type Value<T> = T extends string ? `${T}` : T extends number ? (`${T}` extends `${infer N extends number}` ? N : T) : T;
type Written<T> = T extends string | number | boolean | null | undefined
  ? Value<T>
  : T extends Array<infer Item>
    ? Array<Written<Item>>
    : T extends object
      ? { [Key in keyof T]: Written<T[Key]> }
      : T;
// What is left out, Grafana takes from the panel's defaults.
type Some<T> = T extends Array<infer Item> ? Array<Some<Item>> : T extends object ? { [Key in keyof T]?: Some<T[Key]> } : T;
type Nothing = Record<string, never>;

interface Kinds {
  barchart: [BarChart.Options, BarChart.FieldConfig];
  bargauge: [BarGauge.Options, Nothing];
  gauge: [Gauge.Options, Nothing];
  heatmap: [Heatmap.Options, Heatmap.FieldConfig];
  histogram: [Histogram.Options, Histogram.FieldConfig];
  stat: [Stat.Options, Nothing];
  // The panel reads spanNulls, which its schema has forgotten: `useCustomConfig` in its module.tsx.
  'state-timeline': [StateTimeline.Options, StateTimeline.FieldConfig & { spanNulls?: boolean | number }];
  'status-history': [StatusHistory.Options, StatusHistory.FieldConfig];
  table: [Table.Options, Table.FieldConfig];
  text: [Text.Options, Nothing];
  timeseries: [TimeSeries.Options, TimeSeries.FieldConfig];
}
export type Options<Kind extends keyof Kinds> = Some<Written<Kinds[Kind][0]>>;
export type Custom<Kind extends keyof Kinds> = Some<Written<Kinds[Kind][1]>>;
export type Field = Some<Written<Omit<G.FieldConfig, 'custom'>>>;

export interface Source {
  type: 'prometheus' | 'grafana-postgresql-datasource' | 'datasource';
  uid: string;
}
// After dataquery.d.ts of @grafana/prometheus.
export interface PromQL {
  refId: string;
  datasource: Source & { type: 'prometheus' };
  expr: string;
  format: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  range: boolean;
  editorMode: 'code';
  legendFormat?: string;
  interval?: string;
  exemplar?: boolean;
  hide?: boolean;
}
// After types.d.ts of @grafana/sql.
export interface Sql {
  refId: string;
  datasource: Source & { type: 'grafana-postgresql-datasource' };
  rawSql: string;
  rawQuery: true;
  format: 'time_series' | 'table';
  editorMode: 'code';
  hide?: boolean;
}

type Needed<T, Keys extends keyof T> = T & { [Key in Keys]-?: T[Key] };
export type Frame = Needed<
  Written<Omit<G.Dashboard, 'panels' | 'templating' | 'annotations'>>,
  'uid' | 'title' | 'tags' | 'time' | 'timezone' | 'refresh' | 'editable' | 'links'
>;
export type Variable = Omit<Written<G.VariableModel>, 'query' | 'datasource'> & { query: string; datasource?: Source };
export type Annotation = Omit<Written<G.AnnotationQuery>, 'target' | 'datasource'> & { datasource: Source };
type PanelParts = 'options' | 'fieldConfig' | 'targets' | 'datasource' | 'id' | 'title' | 'gridPos';
export interface Place {
  id: number;
  title: string;
  gridPos: G.GridPos;
}
export type Panel = Omit<Written<G.Panel>, PanelParts> & Place & { datasource?: Source };
export type Heading = Omit<Written<G.RowPanel>, keyof Place | 'panels'> & Place;
