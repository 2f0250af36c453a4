import React from 'react';

import { placeTitle } from '../model/location';
import { ILocation } from '../model/session';

export interface IFilter {
  text: string;
  /** The location whose sessions alone are shown, or empty. */
  place: string;
}

/** What narrows the list: words, and a location where there are several. */
export function FilterBox(props: {
  filter: IFilter;
  locations: readonly ILocation[];
  onFilter: (filter: IFilter) => void;
}): JSX.Element {
  const { filter, locations, onFilter } = props;
  return (
    <div className="jp-RuntimeSessions-filter">
      <input
        type="search"
        className="jp-mod-styled"
        placeholder="Filter by name, label, state…"
        title="Filter by name, label, state, kernel or location"
        aria-label="Filter sessions"
        value={filter.text}
        onChange={event => onFilter({ ...filter, text: event.target.value })}
      />
      {locations.length > 1 && (
        <div className="jp-select-wrapper">
          <select
            className="jp-mod-styled"
            aria-label="Show the sessions of"
            title="Show the sessions of one location"
            value={filter.place}
            onChange={event => onFilter({ ...filter, place: event.target.value })}
          >
            <option value="">All locations</option>
            {locations.map(place => (
              <option key={place.name} value={place.name}>
                {placeTitle(place, place.name)}
              </option>
            ))}
          </select>
        </div>
      )}
    </div>
  );
}
