// The charts. Their colours are those of style.css, for light and dark.

import {
  VictoryAxis,
  VictoryBar,
  VictoryChart,
  VictoryContainer,
  VictoryLine,
  VictoryScatter,
} from "victory";

import { QUARTERS, quarter, shown, total } from "./money.js";

const TEXT = { fill: "var(--text)", fontFamily: "inherit", fontSize: 14 };
const AXIS = {
  axis: { stroke: "var(--muted)" },
  tickLabels: TEXT,
};
const GRID = { ...AXIS, grid: { stroke: "var(--line)" } };

function Chart({ title, description, children }) {
  return (
    <figure>
      <figcaption>{title}</figcaption>
      <VictoryChart
        width={440}
        height={280}
        padding={{ top: 24, right: 24, bottom: 40, left: 64 }}
        domainPadding={{ x: 44, y: 28 }}
        containerComponent={<VictoryContainer title={title} desc={description} />}
      >
        {children}
      </VictoryChart>
    </figure>
  );
}

export function QuartersChart({ name, finance }) {
  const data = QUARTERS.map((x) => ({ x, y: quarter(finance, x) }));
  const description = data.map(({ x, y }) => `${x}: ${shown(y)}`).join(", ");
  return (
    <Chart title={`${name}, the quarters of ${finance.year}`} description={description}>
      <VictoryAxis dependentAxis crossAxis={false} style={GRID} />
      <VictoryBar
        data={data}
        barWidth={48}
        labels={({ datum }) => shown(datum.y)}
        style={{ data: { fill: "var(--accent)" }, labels: TEXT }}
      />
      <VictoryAxis style={AXIS} offsetY={40} />
    </Chart>
  );
}

export function YearsChart({ name, years, year }) {
  const data = years.map((finance) => ({ x: String(finance.year), y: total(finance) }));
  const description = data.map(({ x, y }) => `${x}: ${shown(y)}`).join(", ");
  return (
    <Chart title={`${name}, year by year`} description={description}>
      <VictoryAxis dependentAxis crossAxis={false} style={GRID} />
      <VictoryAxis style={AXIS} offsetY={40} />
      <VictoryLine data={data} style={{ data: { stroke: "var(--accent)", strokeWidth: 3 } }} />
      <VictoryScatter
        data={data}
        size={({ datum }) => (datum.x === String(year) ? 7 : 4)}
        style={{ data: { fill: "var(--accent)" } }}
      />
    </Chart>
  );
}
