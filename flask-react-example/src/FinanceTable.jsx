import { QUARTERS, quarter, shown, total } from "./money.js";

/** The same numbers for those who read rather than look. */
export function FinanceTable({ name, years, year }) {
  return (
    // a narrow screen scrolls it, by the keyboard too
    <div className="table" role="region" aria-label="Table of earnings" tabIndex={0}>
      <table>
        <caption>Earnings of {name}</caption>
        <thead>
          <tr>
            {["Year", ...QUARTERS, "Total"].map((heading) => (
              <th key={heading} scope="col">
                {heading}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {years.map((finance) => (
            <tr key={finance.year} aria-current={finance.year === year || undefined}>
              <th scope="row">{finance.year}</th>
              {QUARTERS.map((name) => (
                <td key={name}>{shown(quarter(finance, name))}</td>
              ))}
              <td>{shown(total(finance))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
