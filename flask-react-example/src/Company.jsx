import { useApi } from "./api.js";
import { QuartersChart, YearsChart } from "./charts.jsx";
import { FinanceTable } from "./FinanceTable.jsx";
import { Answer } from "./states.jsx";

export function Company({ id, year, onYear }) {
  const company = useApi(`get_company/${id}`);
  const years = useApi(`finance/${id}`);
  return (
    <Answer of={company} what="the company">
      {({ content }) => (
        <section aria-labelledby="company">
          <h2 id="company">{content.name}</h2>
          <p>
            {content["business type"]}, led by {content.ceo_name}. Earnings in millions.
          </p>
          <Answer of={years} what="the earnings">
            {({ items }) =>
              items.length === 0 ? (
                <p>{content.name} has no earnings yet.</p>
              ) : (
                <Earnings name={content.name} years={items} year={year} onYear={onYear} />
              )
            }
          </Answer>
        </section>
      )}
    </Answer>
  );
}

function Earnings({ name, years, year, onYear }) {
  const chosen = years.find((finance) => String(finance.year) === year) ?? years.at(-1);
  return (
    <>
      <label>
        Year
        <select value={chosen.year} onChange={(event) => onYear(event.target.value)}>
          {years.map((finance) => (
            <option key={finance.year}>{finance.year}</option>
          ))}
        </select>
      </label>
      <div className="charts">
        <QuartersChart name={name} finance={chosen} />
        <YearsChart name={name} years={years} year={chosen.year} />
      </div>
      <FinanceTable name={name} years={years} year={chosen.year} />
    </>
  );
}
